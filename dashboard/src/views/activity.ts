// Activity: what happened lately, as Convex stores it.

import type { Activity } from "../api.ts";
import { byId, h, keyed, type Row, setText, setTime } from "../dom.ts";
import { stamp } from "../format.ts";
import { More } from "./more.ts";
import { setNote } from "./note.ts";

const FEW = 6;

export class ActivityView {
    readonly #note = byId("activity-note", HTMLElement);
    readonly #more = new More(byId("activity-more", HTMLButtonElement), FEW, () => this.#render());
    readonly #rows = keyed<Activity>(byId("activity-list", HTMLElement), ({ _id }) => _id, activityRow);
    #activity: readonly Activity[] = [];

    show(activity: readonly Activity[], note: string): void {
        this.#activity = activity;
        setNote(this.#note, note || (activity.length === 0 ? "Nothing has happened yet." : ""));
        this.#render();
    }

    unavailable(why: string): void {
        setNote(
            this.#note,
            `${this.#activity.length === 0 ? "Activity cannot be shown" : "This list is old"}: ${why}.`,
        );
    }

    #render(): void {
        this.#rows(this.#more.cut(this.#activity));
    }
}

function activityRow(): Row<Activity> {
    const time = h("time", { class: "muted" });
    const kind = h("span", { class: "kind" });
    const text = h("span", { class: "text" });
    return {
        node: h("li", {}, time, kind, text),
        update: (entry) => {
            const date = new Date(entry._creationTime);
            setTime(time, date.toISOString(), stamp(date, new Date()));
            setText(kind, entry.kind);
            setText(text, entry.text);
        },
    };
}
