import { expect, test } from "vitest";
import { TASK_TYPES } from "../src/task-types.ts";

function read(name: string, input: string): Record<string, unknown> | string | undefined {
    return TASK_TYPES.find((type) => type.name === name)?.read(input);
}

test.each(TASK_TYPES)("the example of $name is a payload", (type) => {
    expect(type.read(type.input?.example ?? "")).toBeTypeOf("object");
});

test.each([
    ["1 2 3.5", [1, 2, 3.5]],
    [" -1,2;\t3e2 ", [-1, 2, 300]],
])("the numbers in %j", (input, numbers) => {
    expect(read("sum", input)).toEqual({ numbers });
});

test.each(["", "  ", "1 two", "Infinity"])("no numbers in %j", (input) => {
    expect(read("sum", input)).toMatch(/look like this/);
});

test.each(["0", "2.5", "60"])("%s seconds", (input) => {
    expect(read("sleep", input)).toEqual({ seconds: Number(input) });
});

test.each(["", "-1", "61", "a while"])("%j is no time to sleep", (input) => {
    expect(read("sleep", input)).toMatch(/up to 60/);
});
