import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AuditTrail, verifyAudit } from "../../src/audit/index.ts";
import { PIN } from "../tokens/opened.ts";
import { names, running } from "./running.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "audit-"));
  file = path.join(folder, "audit.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const operation = (name: string): { event: "operation"; operation: string } => ({
  event: "operation",
  operation: name,
});

async function trailOf(count: number): Promise<string> {
  await using trail = await AuditTrail.open(file);
  for (let index = 0; index < count; index++) await trail.write(operation(`${index}`));
  return await readFile(file, "utf8");
}

describe("an audit trail", () => {
  test("is a chain, for this user alone, and goes on where it was", async () => {
    await trailOf(3);
    const text = await trailOf(2);
    expect(verifyAudit(text)).toMatchObject({ entries: 7, torn: 0 });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test.each([
    ["a changed field", (lines: string[]) => lines.map((line) => line.replace('"1"', '"9"')), "line 3 was changed"],
    ["a line that is missing", (lines: string[]) => lines.filter((_, index) => index !== 2), "line 3 does not follow"],
    ["two lines that changed places", ([a, b, c, ...rest]: string[]) => [a, c, b, ...rest], "line 2 does not follow"],
    ["the first line gone", (lines: string[]) => lines.slice(1), "line 1 does not follow"],
    [
      "a line that is no entry",
      ([a, ...rest]: string[]) => [a, "{}", ...rest],
      "line 3 comes after a line that is no entry",
    ],
  ])("shows %s", async (_what, change, message) => {
    const lines = (await trailOf(3)).trimEnd().split("\n");
    const changed = `${(change as (lines: string[]) => string[])(lines).join("\n")}\n`;
    expect(() => verifyAudit(changed)).toThrow(message);
    await writeFile(file, changed);
    await expect(AuditTrail.open(file)).rejects.toThrow(message);
    expect(await readFile(file, "utf8")).toBe(changed);
  });

  test("goes on after a line that a crash cut short, and says so", async () => {
    await trailOf(2);
    await appendFile(file, '{"sequence":3,"time":"20');
    const text = await trailOf(1);
    expect(verifyAudit(text)).toMatchObject({ entries: 6, torn: 1 });
    expect(text).toContain("continued-after-a-torn-line");
  });

  test("has an entry for each operation, refused ones too, and no PIN", async () => {
    await using trail = await AuditTrail.open(file);
    await using service = await running({ audit: trail });
    const { key, token } = await names(service);
    const body = { alg: "RS256", data: "" };
    const headers = { "cryptoki-purpose": "release 1.2" };
    const { headers: answered } = await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body, headers });
    await service.ask("view", "POST", `/v1/keys/${key}/sign`, { body });
    await service.ask("all", "POST", `/v1/tokens/${token}/pin/login`, { body: { pin: PIN } });
    const text = await readFile(file, "utf8");
    const entries = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const told = entries.map(({ client, operation: name, outcome, purpose, key: one }) => ({
      client,
      name,
      outcome,
      purpose,
      one,
    }));
    expect(told).toEqual([
      {},
      { client: "use", name: "sign", outcome: "OK", purpose: "release 1.2", one: key },
      { client: "view", name: "sign", outcome: "FORBIDDEN", one: key },
      { client: "all", name: "login", outcome: "OK" },
    ]);
    expect(entries[1]?.["request"]).toBe(answered["request-id"]);
    expect(text).not.toContain(PIN);
    expect(verifyAudit(text).entries).toBe(4);
  });

  test("that cannot be written keeps the result back", async () => {
    const trail = await AuditTrail.open(file);
    await using service = await running({ audit: trail });
    const { key } = await names(service);
    await trail[Symbol.asyncDispose]();
    const answer = await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: { alg: "RS256", data: "" } });
    expect(answer.body).toMatchObject({ status: 503, code: "NO_AUDIT" });
    expect(answer.body["signature"]).toBeUndefined();
  });
});
