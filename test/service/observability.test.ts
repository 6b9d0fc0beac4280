import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
// @ts-expect-error -- the package has no declarations.
import untypedParse from "parse-prometheus-text-format";
import { createMetrics } from "../../src/service/metrics.ts";
import { PIN } from "../tokens/opened.ts";
import { bearer, names, running, sha256 } from "./running.ts";

const parse = untypedParse as (text: string) => readonly { readonly name: string; readonly type: string }[];
const SIGN = { alg: "RS256", data: "" };

describe("probes", () => {
  test("need no client; a service whose tokens are all in is ready", async () => {
    await using service = await running();
    expect(await service.ask("", "GET", "/health")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await service.ask("", "GET", "/ready")).toMatchObject({
      status: 200,
      body: { status: "ready", tokens: 1, lacking: 0 },
    });
  });

  test("say which tokens lack, by name to a client alone", async () => {
    const tokens = ["pkcs11:model=PIV", "pkcs11:serial=0815"].map((token) => ({ token }));
    await using service = await running({ configuration: { tokens } });
    const told = await service.ask("view", "GET", "/ready");
    expect(told).toMatchObject({ status: 503, body: { status: "not ready", lacking: ["pkcs11:serial=0815"] } });
    const untold = await service.ask("", "GET", "/ready");
    expect(untold).toMatchObject({ status: 503, body: { lacking: 1 } });
    expect(untold.bytes.toString()).not.toContain("0815");
  });
});

describe("metrics", () => {
  test("are read by another program's parser, and count what was done", async () => {
    await using service = await running();
    const { key } = await names(service);
    expect((await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: SIGN })).status).toBe(200);
    const answer = await service.ask("view", "GET", "/metrics");
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = answer.bytes.toString();
    const families = parse(text).map(({ name, type }) => [name, type]);
    expect(Object.fromEntries(families)).toMatchObject({
      cryptoki_call_duration_seconds: "HISTOGRAM",
      cryptoki_apdu_duration_seconds: "HISTOGRAM",
      cryptoki_queue_wait_seconds: "HISTOGRAM",
      cryptoki_http_request_duration_seconds: "HISTOGRAM",
      cryptoki_logins_total: "COUNTER",
    });
    expect(text).toContain('cryptoki_call_duration_seconds_count{function="C_Sign",rv="CKR_OK"} 1\n');
    expect(text).toContain('route="/v1/keys/:key/sign"');
    expect(text).not.toContain(key);
    expect(text).not.toContain(PIN);
  });

  test.each(["/metrics", "/v1/figures"])("%s is for clients that may view every token", async (url) => {
    await using service = await running();
    expect(await service.ask("", "GET", url)).toMatchObject({ status: 401, body: { code: "UNKNOWN_CLIENT" } });
    expect(await service.ask("none", "GET", url)).toMatchObject({ status: 403, body: { code: "FORBIDDEN" } });
  });

  test.each(["/metrics", "/v1/figures"])("%s is not for a client of one token: it names all readers", async (url) => {
    const one = {
      name: "one",
      bearerSha256: sha256(bearer("one")),
      grants: [{ role: "view", token: "pkcs11:model=PIV" }],
    };
    await using service = await running({ configuration: { clients: [one as never] } });
    expect(await service.ask("one", "GET", url)).toMatchObject({ status: 403, body: { code: "FORBIDDEN" } });
    expect((await service.ask("one", "GET", "/v1/tokens")).status).toBe(200);
  });

  test("a client of one token learns how many tokens lack, and not which", async () => {
    const one = {
      name: "one",
      bearerSha256: sha256(bearer("one")),
      grants: [{ role: "admin", token: "pkcs11:model=PIV" }],
    };
    const all = { name: "all", bearerSha256: sha256(bearer("all")), grants: [{ role: "use" }] };
    const tokens = [{ token: "pkcs11:serial=1234" }];
    await using service = await running({ configuration: { clients: [one, all], tokens } as never });
    expect((await service.ask("one", "GET", "/ready")).body).toMatchObject({ lacking: 1 });
    expect((await service.ask("all", "GET", "/ready")).body).toMatchObject({ lacking: ["pkcs11:serial=1234"] });
  });

  test("the figures have the readers and the calls", async () => {
    await using service = await running();
    const { key } = await names(service);
    await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: SIGN });
    const { body } = await service.ask("view", "GET", "/v1/figures");
    expect(body).toMatchObject({ readers: [{ reader: "Reader", present: true }], logins: { accepted: 1, refused: 0 } });
  });

  test("every query of the dashboard names a metric that there is", async () => {
    using metrics = await createMetrics();
    const kinds = (await metrics?.registry.getMetricsAsJSON()) ?? [];
    const known = kinds.flatMap(({ name, type }) =>
      String(type) === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => name + end) : [name],
    );
    const dashboard = await readFile(new URL("../../docs/grafana/cryptoki.json", import.meta.url), "utf8");
    const { panels } = JSON.parse(dashboard) as { panels: { targets: { expr: string }[] }[] };
    const used = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/cryptoki_\w+/gu) ?? []));
    expect(used.length).toBeGreaterThan(7);
    expect(used.filter((name) => !known.includes(name))).toEqual([]);
  });
});
