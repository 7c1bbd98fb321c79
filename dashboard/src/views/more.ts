// Shows the first few of a long list, and the rest when asked.

import { setText } from "../dom.ts";

export class More {
    readonly #button: HTMLButtonElement;
    readonly #few: number;
    #all = false;

    constructor(button: HTMLButtonElement, few: number, changed: () => void) {
        this.#button = button;
        this.#few = few;
        button.addEventListener("click", () => {
            this.#all = !this.#all;
            changed();
        });
    }

    cut<T>(items: readonly T[]): readonly T[] {
        this.#button.hidden = items.length <= this.#few;
        this.#button.setAttribute("aria-expanded", String(this.#all));
        setText(this.#button, this.#all ? `Show ${this.#few}` : `Show all ${items.length}`);
        return this.#all ? items : items.slice(0, this.#few);
    }
}
