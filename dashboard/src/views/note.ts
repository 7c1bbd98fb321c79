// A quiet line that says why a list is missing or old.

import { setText } from "../dom.ts";

export function setNote(element: HTMLElement, text: string): void {
    setText(element, text);
    element.hidden = text === "";
}
