// Does something again and again: soon while it succeeds, more rarely while it fails, never while paused.

export class Poller {
    readonly #run: () => Promise<boolean>;
    readonly #interval: () => number;
    readonly #slowest: number;
    #timer: ReturnType<typeof setTimeout> | undefined;
    #running = false;
    #again = false;
    #active = false;
    #failures = 0;

    /** `run` says whether it succeeded; `interval` and `slowest` are milliseconds. */
    constructor(run: () => Promise<boolean>, interval: () => number, slowest: number) {
        this.#run = run;
        this.#interval = interval;
        this.#slowest = slowest;
    }

    start(): void {
        if (this.#active) return;
        this.#active = true;
        this.now();
    }

    pause(): void {
        this.#active = false;
        clearTimeout(this.#timer);
    }

    /** Does it at once; what is asked for while it runs happens right after, since the answer may be older than the wish. */
    now(): void {
        if (!this.#active) return;
        clearTimeout(this.#timer);
        if (this.#running) {
            this.#again = true;
            return;
        }
        this.#running = true;
        // A bug in one round is reported, and must not be the last round.
        void this.#run().then(
            (succeeded) => this.#finished(succeeded),
            (bug: unknown) => {
                this.#finished(false);
                reportError(bug);
            },
        );
    }

    #finished(succeeded: boolean): void {
        this.#running = false;
        this.#failures = succeeded ? 0 : this.#failures + 1;
        const again = this.#again;
        this.#again = false;
        if (!this.#active) return;
        if (again) this.now();
        else this.#timer = setTimeout(() => this.now(), this.#delay());
    }

    #delay(): number {
        const interval = this.#interval();
        return Math.max(interval, Math.min(interval * 1.5 ** this.#failures, this.#slowest));
    }
}
