import { afterEach, expect, test, vi } from "vitest";
import { addTask, getActivity, getHealth, getTasks, putSetting } from "../src/api.ts";

const fetched = vi.fn<typeof fetch>();
vi.stubGlobal("fetch", fetched);

afterEach(() => fetched.mockReset());

function answer(status: number, body: unknown): void {
    fetched.mockResolvedValue(
        new Response(typeof body === "string" ? body : JSON.stringify(body), { status }),
    );
}

test("ill health is an answer, not an error", async () => {
    const checks = { redis: { ok: false, error: "refused" } };
    answer(503, { status: "degraded", checks });
    expect(await getHealth()).toEqual({ status: "degraded", checks });
});

test.each([
    ["the gateway's answer for a backend that is away", 503, { error: "unavailable" }, "unavailable"],
    ["a proxy's page", 502, "<html>Bad Gateway</html>", "unavailable"],
    ["the backend's own error", 503, { error: "Redis is away" }, "refused"],
    ["an error without words", 500, "", "refused"],
    ["an answer without the list", 200, {}, "refused"],
])("%s", async (_, status, body, failure) => {
    answer(status, body);
    await expect(getTasks()).rejects.toMatchObject({ failure });
});

test("no answer at all", async () => {
    fetched.mockRejectedValue(new TypeError("network"));
    await expect(getTasks()).rejects.toMatchObject({ failure: "unreachable" });
});

test("a task is sent as the backend expects it, once", async () => {
    answer(202, { id: "42" });
    expect(await addTask("sum", { numbers: [1] })).toBe("42");
    expect(fetched).toHaveBeenCalledOnce();
    const [path, init] = fetched.mock.calls[0] ?? [];
    expect([path, init?.method, init?.body]).toEqual([
        "/api/tasks",
        "POST",
        '{"type":"sum","payload":{"numbers":[1]}}',
    ]);
});

test("a key is one segment of the path, whatever it has in it", async () => {
    answer(200, {});
    await putSetting("a/b ?#ü", "x");
    expect(fetched.mock.calls[0]?.[0]).toBe("/api/settings/a%2Fb%20%3F%23%C3%BC");
});

test("what has no identity is not listed", async () => {
    answer(200, { activity: [{ _id: "a", text: "x" }, { text: "y" }, null], note: 7 });
    expect(await getActivity()).toEqual({ activity: [{ _id: "a", text: "x" }], note: "" });
});
