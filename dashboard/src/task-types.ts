// The kinds of task that the backend knows, and how what was typed becomes their payload.

export interface TaskType {
    name: string;
    /** What the kind does, beside its name in the list. */
    does: string;
    /** What is asked for, if anything is. */
    input?: { label: string; example: string };
    /** The payload, or a sentence that says what is wrong with the input. */
    read: (input: string) => Record<string, unknown> | string;
}

const LONGEST_SLEEP = 60;

export const TASK_TYPES: readonly TaskType[] = [
    {
        name: "echo",
        does: "gives back a text",
        input: { label: "Text", example: "Hello" },
        read: (input) => ({ text: input }),
    },
    {
        name: "sum",
        does: "adds numbers",
        input: { label: "Numbers, with spaces between", example: "1 2 3.5" },
        read: (input) => {
            const numbers = input
                .split(/[\s,;]+/)
                .filter(Boolean)
                .map(Number);
            return numbers.length > 0 && numbers.every(Number.isFinite)
                ? { numbers }
                : "Numbers look like this: 1 2 3.5";
        },
    },
    {
        name: "sleep",
        does: "waits",
        input: { label: "Seconds", example: "3" },
        read: (input) => {
            const seconds = Number(input);
            return input.trim() !== "" && seconds >= 0 && seconds <= LONGEST_SLEEP
                ? { seconds }
                : `A number of seconds up to ${LONGEST_SLEEP}, please`;
        },
    },
    {
        name: "fail",
        does: "fails, to show retries",
        read: () => ({}),
    },
];
