// A command to type, with a button that copies it.

import { announce } from "../announce.ts";
import { h, setText } from "../dom.ts";

const SHOWN_MS = 2000;

/** Only where the browser has a clipboard: it has none on plain HTTP other than localhost. */
export function copyButton(command: () => string): Node {
    if (!navigator.clipboard) return document.createDocumentFragment();
    const button = h("button", { type: "button", class: "quiet copy" }, "Copy");
    button.addEventListener("click", () => {
        navigator.clipboard.writeText(command()).then(
            () => {
                setText(button, "Copied");
                announce("Copied");
                setTimeout(() => setText(button, "Copy"), SHOWN_MS);
            },
            () => setText(button, "Select it, please"),
        );
    });
    return button;
}
