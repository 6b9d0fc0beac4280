import { describe, expect, test } from "@jest/globals";
import { Idempotency } from "../../src/service/idempotency.ts";
import { ServiceError } from "../../src/service/problem.ts";
import { Workload } from "../../src/service/workload.ts";
import { Events, type ServiceEvent } from "../../src/service/events.ts";
import { names, running } from "./running.ts";

const answer = (body: string): { status: number; type: string; body: string } => ({
  status: 200,
  type: "text/plain",
  body,
});

describe("requests that are repeated", () => {
  test("while the first runs they are told so, and its failure is forgotten", async () => {
    const once = new Idempotency();
    let fail: (reason: Error) => void = () => undefined;
    const running1 = once.run("client key", ["body"], () => new Promise((_, reject) => (fail = reject)));
    await expect(once.run("client key", ["body"], () => Promise.resolve(answer("second")))).rejects.toMatchObject({
      code: "STILL_RUNNING",
    });
    fail(new Error("the card went"));
    await expect(running1).rejects.toThrow("the card went");
    expect((await once.run("client key", ["body"], () => Promise.resolve(answer("again")))).body).toBe("again");
  });

  test("are not done again if the first passed its deadline: its outcome is not known", async () => {
    const once = new Idempotency();
    const late = new ServiceError("DEADLINE", "not done within 1 s");
    await expect(once.run("name", ["make a key"], () => Promise.reject(late))).rejects.toBe(late);
    let times = 0;
    const again = once.run("name", ["make a key"], () => Promise.resolve(answer(`${++times}`)));
    await expect(again).rejects.toMatchObject({ code: "DEADLINE" });
    expect(times).toBe(0);
  });

  test("after a day the name is free", async () => {
    let now = 0;
    const once = new Idempotency(() => now);
    const give = (body: string) => (): Promise<ReturnType<typeof answer>> => Promise.resolve(answer(body));
    await once.run("name", ["1"], give("first"));
    now = 24 * 3_600_000 - 1;
    expect((await once.run("name", ["1"], give("second"))).body).toBe("first");
    now++;
    expect((await once.run("name", ["2"], give("third"))).body).toBe("third");
  });

  test("parts that were moved from one to the next are another request", async () => {
    const once = new Idempotency();
    await once.run("name", ["ab", "c"], () => Promise.resolve(answer("")));
    await expect(once.run("name", ["a", "bc"], () => Promise.resolve(answer("")))).rejects.toMatchObject({
      code: "KEY_REUSED",
    });
  });
});

describe("work", () => {
  const holder = (fingerprint: string, name: string): never => ({ fingerprint, served: { name } }) as never;

  test("goes to the card with the least of it", async () => {
    const workload = new Workload(10);
    const cards = [holder("key", "one"), holder("key", "two"), holder("key", "three")];
    const went: string[] = [];
    let end = (): void => undefined;
    const until = new Promise<void>((resolve) => (end = resolve));
    const all = Array.from({ length: 6 }, () =>
      workload.run(cards, ({ served }) => {
        went.push(served.name);
        return until;
      }),
    );
    expect(went).toEqual(["one", "two", "three", "one", "two", "three"]);
    end();
    await Promise.all(all);
    expect(workload.size).toBe(0);
  });

  test("is refused where too much waits for its key, and other keys go on", async () => {
    const workload = new Workload(1);
    let end = (): void => undefined;
    const first = workload.run([holder("a", "card")], () => new Promise<void>((resolve) => (end = resolve)));
    await expect(workload.run([holder("a", "card")], () => Promise.resolve())).rejects.toMatchObject({
      code: "CKR_DEVICE_MEMORY",
      retryAfter: 1,
    });
    await workload.run([holder("b", "card")], () => Promise.resolve());
    end();
    await first;
  });
});

describe("a deadline", () => {
  test("ends the request of a card that does not answer, and the next one gets its turn", async () => {
    await using service = await running();
    const { key } = await names(service);
    const goOn = service.hold();
    const late = await service.ask("use", "POST", `/v1/keys/${key}/sign`, {
      body: { alg: "RS256", data: "" },
      headers: { prefer: "wait=1" },
    });
    expect(late.body).toMatchObject({ status: 504, code: "DEADLINE", detail: "not done within 1 s" });
    goOn();
    expect(
      (await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: { alg: "RS256", data: "" } })).status,
    ).toBe(200);
  });

  test.each(["0", "601", "soon"])("of %s seconds is refused", async (seconds) => {
    await using service = await running();
    const { body } = await service.ask("all", "GET", "/v1/tokens", { headers: { prefer: `wait=${seconds}` } });
    expect(body).toMatchObject({ status: 400, detail: "Prefer: wait is a number of seconds, from 1 to 600" });
  });
});

describe("events", () => {
  const info = {} as never;

  test("come in order, go on after one, and say when some are missing", async () => {
    const events = new Events();
    const end = new AbortController();
    for (let index = 0; index < 3; index++) events.emit("pin.changed", `${index}`, info);
    const live = events.after(undefined, end.signal);
    const next = live.next();
    events.emit("token.removed", "3", info);
    const fresh = (await next).value as ServiceEvent;
    expect(fresh).toMatchObject({ token: "3", type: "token.removed" });

    const resumed = events.after(fresh.id.replace(/\d+$/u, "2"), end.signal);
    expect([(await resumed.next()).value, (await resumed.next()).value]).toMatchObject([
      { token: "2" },
      { token: "3" },
    ]);
    expect((await events.after("another-9", end.signal).next()).value).toBeUndefined();

    for (let index = 0; index < 1100; index++) events.emit("pin.changed", `late ${index}`, info);
    expect((await resumed.next()).value).toBeUndefined();
    expect((await resumed.next()).value).toMatchObject({ token: "late 76" });
    const waiting = events.after(undefined, end.signal).next();
    end.abort(new Error("over"));
    await expect(waiting).rejects.toThrow("over");
  });
});
