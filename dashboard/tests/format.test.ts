import { expect, test } from "vitest";
import { clock, compact, duration, latency, stamp } from "../src/format.ts";

test.each([
    [-3, "0 s"],
    [0.9, "0 s"],
    [59.9, "59 s"],
    [60, "1 min 00 s"],
    [125, "2 min 05 s"],
    [3600, "1 h 00 min"],
    [7512, "2 h 05 min"],
    [86_400, "1 d 0 h"],
    [1_000_000, "11 d 13 h"],
])("%d seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
});

test.each([
    [0.0834, "0.08 ms"],
    [4.2, "4.20 ms"],
    [42.25, "42.3 ms"],
    [420.4, "420 ms"],
    [12_345, "12 s"],
])("%d milliseconds are %s", (milliseconds, text) => {
    expect(latency(milliseconds)).toBe(text);
});

test("a time of another day has its day", () => {
    const now = new Date(2026, 0, 2, 12, 0, 0);
    expect(clock(new Date(2026, 0, 2, 3, 4, 5), now)).toBe("03:04:05");
    expect(clock(new Date(2025, 11, 31, 3, 4, 5), now)).toBe("2025-12-31 03:04:05");
    expect(stamp(new Date(2025, 11, 31, 3, 4, 5), now)).toBe("2025-12-31");
    expect(stamp(new Date(2026, 0, 2, 3, 4, 5), now)).toBe("03:04:05");
});

test.each([
    [null, ""],
    [undefined, ""],
    ["a text", "a text"],
    [0, "0"],
    [{ sum: 6.5 }, '{"sum":6.5}'],
])("%j on one line is %s", (value, text) => {
    expect(compact(value)).toBe(text);
});
