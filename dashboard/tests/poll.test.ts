import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Poller } from "../src/poll.ts";

const INTERVAL = 1000;
const SLOWEST = 3000;

describe("Poller", () => {
    let answers: boolean[];
    let runs: number[];
    let poller: Poller;

    beforeEach(() => {
        vi.useFakeTimers({ now: 0 });
        answers = [];
        runs = [];
        const run = async () => {
            runs.push(Date.now());
            return answers.shift() ?? true;
        };
        poller = new Poller(run, () => INTERVAL, SLOWEST);
    });

    afterEach(() => {
        poller.pause();
        vi.useRealTimers();
    });

    test("runs at once, then at its interval", async () => {
        poller.start();
        await vi.advanceTimersByTimeAsync(2500);
        expect(runs).toEqual([0, 1000, 2000]);
    });

    test("backs off while it fails, and is back at its interval after a success", async () => {
        answers = [false, false, false, false, true];
        poller.start();
        await vi.advanceTimersByTimeAsync(12_000);
        expect(runs).toEqual([0, 1500, 3750, 6750, 9750, 10_750, 11_750]);
    });

    test("does nothing while paused, and runs at once when started again", async () => {
        poller.start();
        await vi.advanceTimersByTimeAsync(100);
        poller.pause();
        await vi.advanceTimersByTimeAsync(10_000);
        expect(runs).toEqual([0]);
        poller.now();
        expect(runs).toEqual([0]);
        poller.start();
        await vi.advanceTimersByTimeAsync(100);
        expect(runs).toEqual([0, 10_100]);
    });

    test("does not wait when asked to run now", async () => {
        poller.start();
        await vi.advanceTimersByTimeAsync(300);
        poller.now();
        await vi.advanceTimersByTimeAsync(900);
        expect(runs).toEqual([0, 300]);
    });

    test("is never twice under way: what is asked for meanwhile comes right after", async () => {
        let running = 0;
        let most = 0;
        const slow = new Poller(
            async () => {
                most = Math.max(most, ++running);
                runs.push(Date.now());
                await new Promise((resolve) => setTimeout(resolve, 500));
                running--;
                return true;
            },
            () => INTERVAL,
            SLOWEST,
        );
        slow.start();
        await vi.advanceTimersByTimeAsync(100);
        slow.now();
        slow.now();
        await vi.advanceTimersByTimeAsync(1000);
        slow.pause();
        expect(most).toBe(1);
        expect(runs).toEqual([0, 500]);
    });

    test("a bug in a round is reported and is not the last round", async () => {
        const report = vi.fn();
        vi.stubGlobal("reportError", report);
        const bug = new Error("bug");
        const broken = new Poller(
            async () => {
                runs.push(Date.now());
                throw bug;
            },
            () => INTERVAL,
            SLOWEST,
        );
        broken.start();
        await vi.advanceTimersByTimeAsync(2000);
        broken.pause();
        vi.unstubAllGlobals();
        expect(runs).toEqual([0, 1500]);
        expect(report).toHaveBeenCalledWith(bug);
    });
});
