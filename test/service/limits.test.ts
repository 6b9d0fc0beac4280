import { describe, expect, test } from "@jest/globals";
import { Idempotency, type Look, type NamedRequest } from "../../src/service/idempotency.ts";
import { ServiceError } from "../../src/service/problem.ts";
import { Workload } from "../../src/service/workload.ts";
import { Events, type ServiceEvent } from "../../src/service/events.ts";
import { TokenError } from "../../src/tokens/index.ts";
import { names, running } from "./running.ts";

const answer = (body: string): { status: number; type: string; body: string } => ({
  status: 200,
  type: "text/plain",
  body,
});

const named = (name: string, parts: readonly string[], look?: Look): NamedRequest => ({
  ...{ client: "client", name, parts },
  ...(look && { look }),
});

describe("requests that are repeated", () => {
  test("while the first runs they are told so, and its failure is forgotten", async () => {
    const once = new Idempotency();
    let fail: (reason: Error) => void = () => undefined;
    const running1 = once.run(named("client key", ["body"]), () => new Promise((_, reject) => (fail = reject)));
    await expect(
      once.run(named("client key", ["body"]), () => Promise.resolve(answer("second"))),
    ).rejects.toMatchObject({
      code: "STILL_RUNNING",
    });
    fail(new Error("the card went"));
    await expect(running1).rejects.toThrow("the card went");
    expect((await once.run(named("client key", ["body"]), () => Promise.resolve(answer("again")))).body).toBe("again");
  });

  test("are not done again if the first passed its deadline: its outcome is not known", async () => {
    const once = new Idempotency();
    const late = new ServiceError("DEADLINE", "not done within 1 s");
    await expect(once.run(named("name", ["make a key"]), () => Promise.reject(late))).rejects.toBe(late);
    let times = 0;
    const again = once.run(named("name", ["make a key"]), () => Promise.resolve(answer(`${++times}`)));
    await expect(again).rejects.toMatchObject({ code: "DEADLINE" });
    expect(times).toBe(0);
  });

  test("are answered by a look at the card if it went while it made a key, and not done again", async () => {
    const once = new Idempotency();
    const gone = new TokenError("TOKEN_GONE", "the card was taken out");
    const seen: string[] = [];
    const request = named("name", ["make a key"], () => Promise.resolve(seen.map(answer)[0]));
    const never = (): Promise<never> => Promise.reject(new Error("done twice"));
    await expect(once.run(request, () => Promise.reject(gone))).rejects.toBe(gone);
    await expect(once.run(request, never)).rejects.toBe(gone);
    seen.push("the key");
    expect((await once.run(request, never)).body).toBe("the key");
    // A signature may be made again.
    const sign = named("other", ["sign"]);
    await expect(once.run(sign, () => Promise.reject(gone))).rejects.toBe(gone);
    expect((await once.run(sign, () => Promise.resolve(answer("signature")))).body).toBe("signature");
  });

  test("get the answer that came behind the deadline", async () => {
    const once = new Idempotency();
    const request = named("name", ["make a key"]);
    const late = new ServiceError("DEADLINE", "not done within 1 s");
    await expect(once.run(request, () => Promise.reject(late))).rejects.toBe(late);
    once.settle(request, answer("the key"));
    expect((await once.run(request, () => Promise.reject(new Error("done twice")))).body).toBe("the key");
  });

  test("of a client that floods the service push out its own answers only", async () => {
    const once = new Idempotency();
    const of = (client: string, name: string): NamedRequest => ({ client, name, parts: [name] });
    await once.run(of("quiet", "first"), () => Promise.resolve(answer("kept")));
    for (let index = 0; index < 3000; index++)
      await once.run(of("loud", `${index}`), () => Promise.resolve(answer(`${index}`)));
    const again = (client: string, name: string): Promise<{ readonly body: string | Uint8Array }> =>
      once.run(of(client, name), () => Promise.resolve(answer("done again")));
    expect((await again("quiet", "first")).body).toBe("kept");
    expect((await again("loud", "2999")).body).toBe("2999");
    expect((await again("loud", "0")).body).toBe("done again");
    // Large answers count by their bytes.
    const large = "x".repeat(2 ** 20);
    for (let index = 0; index < 40; index++)
      await once.run(of("large", `${index}`), () => Promise.resolve(answer(large)));
    expect((await again("large", "39")).body).toBe(large);
    expect((await again("large", "0")).body).toBe("done again");
  });

  test("after a day the name is free", async () => {
    let now = 0;
    const once = new Idempotency(() => now);
    const give = (body: string) => (): Promise<ReturnType<typeof answer>> => Promise.resolve(answer(body));
    await once.run(named("name", ["1"]), give("first"));
    now = 24 * 3_600_000 - 1;
    expect((await once.run(named("name", ["1"]), give("second"))).body).toBe("first");
    now++;
    expect((await once.run(named("name", ["2"]), give("third"))).body).toBe("third");
  });

  test("parts that were moved from one to the next are another request", async () => {
    const once = new Idempotency();
    await once.run(named("name", ["ab", "c"]), () => Promise.resolve(answer("")));
    await expect(once.run(named("name", ["a", "bc"]), () => Promise.resolve(answer("")))).rejects.toMatchObject({
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
    // No card is thought to be busy any more.
    await workload.run(cards, ({ served }) => {
      went.push(served.name);
      return Promise.resolve();
    });
    expect(went.at(-1)).toBe("one");
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
