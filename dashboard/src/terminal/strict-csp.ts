// Lets xterm.js work under a policy without 'unsafe-inline'.
//
// xterm.js fills <style> elements and sets style attributes, and the policy blocks both: they could be injected markup. The
// same rules given through the CSS object model are allowed. It takes neither another document for all of its elements nor a
// nonce, so the two ways that it uses are led over the object model here.

import type { Terminal } from "@xterm/xterm";

/** Opens the terminal. All its <style> elements are made meanwhile, and only filled anew later. */
export function openTerminal(terminal: Terminal, parent: HTMLElement): void {
    const original = document.createElement.bind(document);
    const createElement = (name: string, options?: ElementCreationOptions) =>
        name === "style" ? styleSheetElement(original("span")) : original(name, options);
    Object.defineProperty(document, "createElement", { value: createElement, configurable: true });
    try {
        terminal.open(parent);
    } finally {
        Reflect.deleteProperty(document, "createElement");
    }
}

/** Makes the element stand for a <style>: its text becomes a style sheet of the document. */
function styleSheetElement(element: HTMLElement): HTMLElement {
    element.hidden = true;
    const sheet = new CSSStyleSheet();
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    Object.defineProperty(element, "textContent", { set: (rules: string) => sheet.replaceSync(rules) });
    return element;
}

/** Cells in colours beyond the palette are spans that get them by attribute. */
HTMLSpanElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
};
