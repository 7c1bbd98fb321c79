// Settings: a list that is edited in place. Deleting asks nothing, because it can be undone.

import { announce } from "../announce.ts";
import { ApiError, deleteSetting, putSetting, type Setting } from "../api.ts";
import { byId, h, keyed, type Row, setAttribute, setText, setTime } from "../dom.ts";
import { stamp } from "../format.ts";
import { setNote } from "./note.ts";

const MOST_LINES = 8;

export class SettingsView {
    readonly #form = byId("setting-form", HTMLFormElement);
    readonly #key = byId("setting-key", HTMLInputElement);
    readonly #value = byId("setting-value", HTMLInputElement);
    readonly #submit = byId("setting-submit", HTMLButtonElement);
    readonly #error = byId("setting-error", HTMLElement);
    readonly #note = byId("setting-note", HTMLElement);
    readonly #rows = keyed<Setting>(
        byId("setting-list", HTMLElement),
        ({ key }) => key,
        ({ key }) => this.#row(key),
    );
    readonly #changed: () => void;
    #settings: readonly Setting[] = [];
    /** What was deleted here, as long as it can be undone. */
    readonly #deleted = new Map<string, Setting>();

    constructor(changed: () => void) {
        this.#changed = changed;
        this.#key.addEventListener("input", () => {
            this.#complain("");
            const exists = this.#settings.some(({ key }) => key === this.#key.value.trim());
            setText(this.#submit, exists ? "Replace" : "Add");
        });
        this.#form.addEventListener("submit", (event) => {
            event.preventDefault();
            void this.#add();
        });
    }

    show(settings: readonly Setting[]): void {
        this.#settings = settings;
        for (const { key } of settings) this.#deleted.delete(key);
        setNote(this.#note, settings.length === 0 && this.#deleted.size === 0 ? "No settings yet." : "");
        this.#render();
    }

    unavailable(why: string): void {
        setNote(
            this.#note,
            `${this.#settings.length === 0 ? "The settings cannot be shown" : "This list is old"}: ${why}.`,
        );
    }

    #render(): void {
        const all = [...this.#settings, ...this.#deleted.values()];
        // By code point: the same order for everybody.
        this.#rows(all.sort((a, b) => (a.key < b.key ? -1 : 1)));
    }

    async #add(): Promise<void> {
        const key = this.#key.value.trim();
        if (key === "") {
            this.#complain("A setting needs a key.");
            this.#key.focus();
            return;
        }
        if (await this.#put(key, this.#value.value)) {
            this.#form.reset();
            setText(this.#submit, "Add");
            this.#key.focus();
        }
    }

    async #put(key: string, value: string): Promise<boolean> {
        return this.#do("Not saved", async () => {
            await putSetting(key, value);
            this.#deleted.delete(key);
            this.#settings = [
                ...this.#settings.filter((setting) => setting.key !== key),
                { key, value, updated_at: new Date().toISOString() },
            ];
            announce(`${key} saved`);
        });
    }

    async #delete(setting: Setting): Promise<boolean> {
        return this.#do("Not deleted", async () => {
            await deleteSetting(setting.key);
            this.#deleted.set(setting.key, setting);
            this.#settings = this.#settings.filter(({ key }) => key !== setting.key);
            announce(`${setting.key} deleted`);
        });
    }

    async #do(failed: string, change: () => Promise<void>): Promise<boolean> {
        try {
            await change();
        } catch (error) {
            if (!(error instanceof ApiError)) throw error;
            this.#complain(`${failed}: ${error.message}.`);
            return false;
        }
        this.#complain("");
        this.#render();
        this.#changed();
        return true;
    }

    #complain(text: string): void {
        setText(this.#error, text);
    }

    #row(key: string): Row<Setting> {
        let current: Setting = { key, value: "" };
        const value = h("span", { class: "value" });
        const time = h("time", { class: "muted" });
        const edit = h("button", { type: "button", class: "quiet", "aria-label": `Edit ${key}` }, "Edit");
        const remove = h(
            "button",
            { type: "button", class: "quiet", "aria-label": `Delete ${key}` },
            "Delete",
        );
        const shown = h(
            "div",
            { class: "shown" },
            h("span", { class: "key" }, key),
            value,
            time,
            h("span", { class: "actions" }, edit, remove),
        );

        // A value may have several lines, which a single-line field would drop without a word.
        const field = h("textarea", { rows: 1, "aria-label": `Value of ${key}`, spellcheck: "false" });
        const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
        const editor = h(
            "form",
            { class: "editor", hidden: true },
            h("span", { class: "key" }, key),
            field,
            h("span", { class: "actions" }, h("button", { type: "submit" }, "Save"), cancel),
            h("p", { class: "aside" }, "Enter saves, Shift+Enter begins a new line, Escape cancels."),
        );

        const undo = h("button", { type: "button", "aria-label": `Undo deleting ${key}` }, "Undo");
        const dismiss = h(
            "button",
            { type: "button", class: "quiet", "aria-label": `Dismiss ${key}` },
            "Dismiss",
        );
        const gone = h(
            "div",
            { class: "gone", hidden: true },
            h("span", {}, "Deleted ", h("span", { class: "key" }, key)),
            h("span", { class: "actions" }, undo, dismiss),
        );

        const setEditing = (editing: boolean) => {
            editor.hidden = !editing;
            shown.hidden = editing;
            (editing ? field : edit).focus();
        };
        const fitLines = () => {
            field.rows = Math.min(MOST_LINES, field.value.split("\n").length);
        };
        field.addEventListener("input", fitLines);
        edit.addEventListener("click", () => {
            field.value = current.value;
            fitLines();
            setEditing(true);
            field.select();
        });
        cancel.addEventListener("click", () => setEditing(false));
        field.addEventListener("keydown", (event) => {
            if (event.key === "Escape") setEditing(false);
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                editor.requestSubmit();
            }
        });
        editor.addEventListener("submit", (event) => {
            event.preventDefault();
            void this.#put(key, field.value).then((saved) => {
                if (saved) setEditing(false);
            });
        });
        remove.addEventListener("click", () => {
            void this.#delete(current).then((deleted) => {
                if (deleted) undo.focus();
            });
        });
        undo.addEventListener("click", () => {
            void this.#put(key, current.value).then((saved) => {
                if (saved) remove.focus();
            });
        });
        dismiss.addEventListener("click", () => {
            this.#deleted.delete(key);
            this.#render();
            this.#key.focus();
        });

        return {
            node: h("li", { "data-setting": key }, shown, editor, gone),
            update: (setting) => {
                current = setting;
                const deleted = this.#deleted.has(key);
                gone.hidden = !deleted;
                if (deleted) editor.hidden = true;
                shown.hidden = deleted || !editor.hidden;
                setText(value, setting.value);
                setAttribute(value, "title", setting.value);
                const at = setting.updated_at;
                if (at) setTime(time, at, stamp(new Date(at), new Date()));
            },
        };
    }
}
