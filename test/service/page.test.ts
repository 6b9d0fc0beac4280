import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { PracticeCard, TraceFeed } from "../../src/service/index.ts";
import { testCard } from "../virtual/keys.ts";
import { bearer, type Running, running } from "./running.ts";

const SOURCE = new URL("../../src/service/web/", import.meta.url);
const SELECT_PIV = "00A4040005A00000030800";

let folder: string;
let service: Running;
let plain: Running;
const trace = new TraceFeed();
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "page-"));
  for (const name of ["index.html", "page.css", "icon.svg"])
    await writeFile(path.join(folder, name), await readFile(new URL(name, SOURCE)));
  await writeFile(path.join(folder, "page.js"), "// built elsewhere");
  const page = pathToFileURL(`${folder}/`);
  service = await running({ offers: { page, trace, practiceCard: new PracticeCard(() => testCard()) } });
  plain = await running();
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

describe("the files of the page", () => {
  test.each([
    ["/", "text/html; charset=utf-8"],
    ["/page.js", "text/javascript; charset=utf-8"],
    ["/page.css", "text/css; charset=utf-8"],
    ["/icon.svg", "image/svg+xml"],
  ])("%s needs no credentials, and has a strict policy", async (address, type) => {
    const { status, headers } = await service.ask("", "GET", address);
    expect([status, headers["content-type"]]).toEqual([200, type]);
    const policy = String(headers["content-security-policy"]).split("; ");
    expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'", "style-src 'self'"]));
    expect(policy).toEqual(expect.arrayContaining(["frame-ancestors 'none'", "form-action 'none'"]));
    expect(policy.join()).not.toMatch(/unsafe|https?:|\*/u);
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
  });

  test("hold no script or style in the document, and name no other address", async () => {
    const html = (await service.ask("", "GET", "/")).bytes.toString();
    expect(html).not.toMatch(/<style|style=| on\w+=|<script(?![^>]* src="\/page\.js")/u);
    for (const name of ["index.html", "page.css", "icon.svg"]) {
      const text = await readFile(new URL(name, SOURCE), "utf8");
      expect(text.replace("http://www.w3.org/2000/svg", "")).not.toMatch(/\w:\/\/|@import|url\(/u);
    }
  });

  test.each([
    ["another file", "/page.js.map", 401, "UNKNOWN_CLIENT"],
    ["a way out of the folder", "/../index.html", 401, "UNKNOWN_CLIENT"],
    ["the tokens", "/v1/tokens", 401, "UNKNOWN_CLIENT"],
  ])("%s needs credentials", async (_what, address, status, code) => {
    const answer = await service.ask("", "GET", address);
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  test("are not there where no page is wanted", async () => {
    expect((await plain.ask("", "GET", "/")).status).toBe(401);
    expect((await plain.ask("all", "GET", "/")).body["code"]).toBe("NOT_FOUND");
  });
});

describe("the client of a request", () => {
  test("is told what it may do", async () => {
    expect((await service.ask("use", "GET", "/v1/client")).body).toEqual({
      ...{ name: "use", roles: ["view", "use"], pinsInRequests: false, trace: false, practiceCard: false },
    });
    expect((await service.ask("all", "GET", "/v1/client")).body).toMatchObject({
      ...{ pinsInRequests: true, trace: true, practiceCard: true },
    });
    expect((await plain.ask("all", "GET", "/v1/client")).body).toMatchObject({ trace: false, practiceCard: false });
  });

  test("without credentials is no error; with wrong ones it is", async () => {
    expect((await service.ask("", "GET", "/v1/client")).status).toBe(204);
    expect((await service.ask("stranger", "GET", "/v1/client")).body["code"]).toBe("UNKNOWN_CLIENT");
  });
});

describe("APDUs", () => {
  test("are listed, built and explained for every client", async () => {
    const { items } = (await service.ask("view", "GET", "/v1/apdu/commands")).body;
    expect(items).toContainEqual({ name: "SELECT", cla: "00", ins: "A4", standard: expect.any(String) });
    const build = { name: "select", p1: "04", data: "A000000308", le: 256 };
    const built = await service.ask("view", "POST", "/v1/apdu/build", { body: build });
    expect(built.body).toMatchObject({ command: SELECT_PIV, name: "SELECT" });
    const explain = { command: "0020008000", answer: "63C2" };
    const explained = await service.ask("view", "POST", "/v1/apdu/explain", { body: explain });
    expect(explained.body).toMatchObject({
      name: "VERIFY",
      answer: { status: { code: "63C2", kind: "warning", name: "not verified, 2 tries left" } },
    });
  });

  test("with a PIN are explained without it", async () => {
    const body = { command: "0020008008313233343536FFFF" };
    const { bytes } = await service.ask("view", "POST", "/v1/apdu/explain", { body });
    expect(bytes.toString()).not.toMatch(/313233|123456/u);
  });

  test("are sent to the practice card, one after the other", async () => {
    const body = { commands: [SELECT_PIV, "0020008008313233343536FFFF", "0020008008313131313131FFFF"], reset: true };
    const { body: sent } = await service.ask("all", "POST", "/v1/apdu/send", { body });
    expect(sent["answers"]).toMatchObject([
      { command: SELECT_PIV, name: "SELECT", status: { code: "9000" } },
      { command: "00200080**", name: "VERIFY", data: "", status: { code: "9000" } },
      { command: "00200080**", name: "VERIFY", data: "", status: { code: "63C2" } },
    ]);
    // The token of the service saw none of it.
    expect(service.pinTries()).toBe(0);
  });

  const send = { commands: [SELECT_PIV] };
  test.each([
    ["a name that is none", "view", "build", { name: "SELEKT" }, 400, "BAD_INPUT", "did you mean SELECT"],
    ["half a byte", "view", "explain", { command: "00A" }, 400, "BAD_INPUT", "pattern"],
    [
      "too much data for the short form",
      "view",
      "build",
      { name: "SELECT", data: "00".repeat(256) },
      400,
      "BAD_INPUT",
      "256",
    ],
    ["a command of three bytes", "all", "send", { commands: ["00A404"] }, 400, "BAD_INPUT", "at least 4"],
    ["a client that does not administer", "manage", "send", send, 403, "FORBIDDEN", '"admin" with every token'],
  ] as const)("%s is refused", async (_what, client, operation, body, status, code, detail) => {
    const answer = await service.ask(client, "POST", `/v1/apdu/${operation}`, { body });
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
    expect(answer.body["detail"]).toContain(detail);
  });

  test("are not sent where there is no practice card", async () => {
    const { status, body } = await plain.ask("all", "POST", "/v1/apdu/send", { body: send });
    expect([status, body["code"]]).toEqual([501, "NOT_SUPPORTED"]);
  });
});

describe("the trace", () => {
  test("is for administrators of every token", async () => {
    expect((await service.ask("manage", "GET", "/v1/trace")).body["code"]).toBe("FORBIDDEN");
    expect((await plain.ask("all", "GET", "/v1/trace")).body["code"]).toBe("NOT_SUPPORTED");
    const client = { name: "some", bearerSha256: await digest(bearer("some")), grants: [SOME_TOKENS] };
    await using limited = await running({ configuration: { clients: [client] }, offers: { trace } });
    expect((await limited.ask("some", "GET", "/v1/trace")).body["code"]).toBe("FORBIDDEN");
  });

  test("gives what is kept, and then what happens", async () => {
    trace.call({ ...CALL, function: "C_GetInfo" });
    const headers = { authorization: `Bearer ${bearer("admin")}` };
    const sent = request({ socketPath: service.socket, path: "/v1/trace", headers });
    sent.end();
    const [answer] = (await once(sent, "response")) as [NodeJS.ReadableStream];
    answer.setEncoding("utf8");
    let text = "";
    for await (const part of answer) {
      text += String(part);
      if (text.includes("C_Sign")) break;
      if (text.includes("C_GetInfo")) trace.call({ ...CALL, function: "C_Sign" });
    }
    const events = text.split("\n\n").filter((one) => one.startsWith("event: call\ndata: "));
    const names = events.map((one) => (JSON.parse(one.slice(18)) as { readonly function: string }).function);
    expect([names[0], names.at(-1)]).toEqual(["C_GetInfo", "C_Sign"]);
  });

  test("says which entries a slow client missed", async () => {
    const feed = new TraceFeed();
    const entries = feed.follow(new AbortController().signal);
    feed.call({ ...CALL, function: "C_GetInfo" });
    expect((await entries.next()).value).toMatchObject({ call: { function: "C_GetInfo" } });
    for (let index = 0; index < 600; index++) feed.call(CALL);
    expect((await entries.next()).value).toBeUndefined();
    expect((await entries.next()).value).toMatchObject({ call: { function: "C_Login" } });
    await entries.return(undefined);
  });
});

const SOME_TOKENS = { role: "admin", token: "pkcs11:model=PIV" } as const;
const CALL = { time: 1, duration: 1, function: "C_Login", parameters: {}, rv: "CKR_OK" } as const;

async function digest(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(text))).toString("hex");
}
