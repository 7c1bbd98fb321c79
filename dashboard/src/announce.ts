// Says to screen readers what changed, once, and only what a person would want to be interrupted for.

import { byId } from "./dom.ts";

const announcer = byId("announcer", HTMLElement);

export function announce(text: string): void {
    announcer.textContent = text;
}
