// Tasks: the form that enqueues them, and what became of each.

import { announce } from "../announce.ts";
import { ApiError, addTask, type Task } from "../api.ts";
import { byId, h, type IconName, icon, keyed, type Row, setAttribute, setText, setTime } from "../dom.ts";
import { clock, compact, stamp } from "../format.ts";
import { TASK_TYPES, type TaskType } from "../task-types.ts";
import { More } from "./more.ts";
import { setNote } from "./note.ts";

const FEW = 8;

interface Look {
    word: string;
    icon: IconName;
    level: string;
    /** Changes no more. */
    settled?: boolean;
}

/** What the states of the queue are called here. */
const STATES: Record<string, Look> = {
    pending: { word: "waiting", icon: "busy", level: "idle" },
    scheduled: { word: "scheduled", icon: "busy", level: "idle" },
    active: { word: "running", icon: "connecting", level: "active" },
    retry: { word: "will retry", icon: "connecting", level: "busy" },
    archived: { word: "failed", icon: "trouble", level: "trouble", settled: true },
    completed: { word: "done", icon: "ok", level: "ok", settled: true },
};

export class TasksView {
    readonly #form = byId("task-form", HTMLFormElement);
    readonly #type = byId("task-type", HTMLSelectElement);
    readonly #input = byId("task-input", HTMLInputElement);
    readonly #inputField = byId("task-input-field", HTMLElement);
    readonly #inputLabel = byId("task-input-label", HTMLElement);
    readonly #error = byId("task-error", HTMLElement);
    readonly #note = byId("task-note", HTMLElement);
    readonly #more = new More(byId("task-more", HTMLButtonElement), FEW, () => this.#render());
    readonly #rows = keyed<Task>(
        byId("task-list", HTMLElement),
        (task) => task.id,
        () => taskRow(),
    );
    readonly #added: () => void;
    /** Enqueued from this page and not settled yet: their end is announced. */
    readonly #watched = new Set<string>();
    #tasks: readonly Task[] = [];

    constructor(added: () => void) {
        this.#added = added;
        for (const { name, does } of TASK_TYPES) {
            this.#type.append(h("option", { value: name }, `${name}: ${does}`));
        }
        this.#type.addEventListener("change", () => this.#choose());
        this.#input.addEventListener("input", () => this.#complain(""));
        this.#form.addEventListener("submit", (event) => {
            event.preventDefault();
            void this.#submit();
        });
        this.#choose();
    }

    get unsettled(): boolean {
        return this.#tasks.some((task) => !STATES[task.state]?.settled);
    }

    show(tasks: readonly Task[]): void {
        this.#tasks = tasks;
        setNote(
            this.#note,
            tasks.length === 0 ? "Nothing has been queued yet. Enqueue something to see the queue work." : "",
        );
        for (const task of tasks) {
            const state = STATES[task.state];
            if (state?.settled && this.#watched.delete(task.id)) {
                announce(`Task ${task.type} ${state.word}: ${outcome(task)}`);
            }
        }
        this.#render();
    }

    unavailable(why: string): void {
        setNote(
            this.#note,
            `${this.#tasks.length === 0 ? "The tasks cannot be shown" : "This list is old"}: ${why}.`,
        );
    }

    #render(): void {
        this.#rows(this.#more.cut(this.#tasks));
    }

    get #chosen(): TaskType | undefined {
        return TASK_TYPES.find(({ name }) => name === this.#type.value);
    }

    #choose(): void {
        const input = this.#chosen?.input;
        this.#inputField.hidden = !input;
        setText(this.#inputLabel, input?.label ?? "");
        this.#input.value = input?.example ?? "";
        this.#complain("");
    }

    async #submit(): Promise<void> {
        const type = this.#chosen;
        const payload = type?.read(this.#input.value);
        if (!type || payload === undefined || this.#form.hasAttribute("aria-busy")) return;
        if (typeof payload === "string") {
            this.#complain(payload);
            this.#input.focus();
            return;
        }
        this.#complain("");
        this.#form.setAttribute("aria-busy", "true");
        try {
            this.#watched.add(await addTask(type.name, payload));
            announce(`Task ${type.name} queued`);
            this.#added();
        } catch (error) {
            if (!(error instanceof ApiError)) throw error;
            // A request without an answer may have arrived: sending it again is the person's decision.
            const doubt = error.failure === "unreachable" ? ", so look at the list before you try again" : "";
            this.#complain(`Not queued: ${error.message}${doubt}.`);
        } finally {
            this.#form.removeAttribute("aria-busy");
        }
    }

    #complain(text: string): void {
        setText(this.#error, text);
        this.#input.toggleAttribute("aria-invalid", text !== "");
    }
}

function taskRow(): Row<Task> {
    const mark = icon("busy");
    const word = h("span");
    const pill = h("span", { class: "pill" });
    pill.append(mark.node, word);
    const type = h("span", { class: "type" });
    const result = h("span", { class: "result" });
    const tries = h("span", { class: "muted tries" });
    const time = h("time", { class: "muted" });
    const payload = h("dd", { class: "detail" });
    const full = h("dd", { class: "detail" });
    const fullName = h("dt");
    const queued = h("time");
    const ended = h("time");
    const endedGroup = h("div", {}, h("dt", {}, "Ended"), h("dd", {}, ended));
    const id = h("dd", { class: "detail" });
    const node = h(
        "li",
        { class: "task" },
        h(
            "details",
            {},
            h("summary", {}, pill, type, result, tries, time),
            h(
                "dl",
                {},
                h("div", {}, h("dt", {}, "Payload"), payload),
                h("div", {}, fullName, full),
                h("div", {}, h("dt", {}, "Queued"), h("dd", {}, queued)),
                endedGroup,
                h("div", {}, h("dt", {}, "Id"), id),
            ),
        ),
    );
    return {
        node,
        update: (task) => {
            const state: Look = STATES[task.state] ?? { word: task.state, icon: "busy", level: "idle" };
            setAttribute(node, "data-level", state.level);
            setAttribute(node, "data-task", task.id);
            setAttribute(node, "data-state", task.state);
            mark.set(state.icon);
            setText(word, state.word);
            setText(type, task.type);
            setText(result, outcome(task));
            setText(tries, attempts(task));
            const now = new Date();
            const began = task.created_at ?? "";
            setTime(time, began, began && stamp(new Date(began), now));
            setTime(queued, began, began && clock(new Date(began), now));
            const end = task.completed_at ?? (state.settled ? task.failed_at : null);
            endedGroup.hidden = !end;
            if (end) setTime(ended, end, clock(new Date(end), now));
            setText(payload, compact(task.payload));
            setText(fullName, task.error && task.state !== "completed" ? "Error" : "Result");
            setText(full, outcome(task) || "not yet");
            setText(id, task.id);
        },
    };
}

function outcome(task: Task): string {
    return task.state === "completed" ? compact(task.result) : (task.error ?? "");
}

function attempts({ retried = 0, max_retry = 0, next_attempt_at: next }: Task): string {
    if (retried === 0) return "";
    if (next) return `retry ${retried} of ${max_retry} at ${stamp(new Date(next), new Date())}`;
    return `${retried} ${retried === 1 ? "retry" : "retries"}`;
}
