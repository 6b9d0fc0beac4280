import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { openTokens } from "../../src/tokens/index.ts";
import { checkConfiguration, createService, listen, type Listening, readTls } from "../../src/service/index.ts";
import { makeCard, PIN } from "../tokens/opened.ts";
import { type Pair, selfSigned } from "./self-signed.ts";

const BEARER = "a-bearer-token-of-these-tests";

let folder: string;
let listening: Listening;
let server: Pair;
let friend: Pair;
let stranger: Pair;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tls-"));
  [server, friend, stranger] = (await Promise.all(["localhost", "friend", "stranger"].map(selfSigned))) as [
    Pair,
    Pair,
    Pair,
  ];
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  const configuration = checkConfiguration({
    listen: {
      host: "127.0.0.1",
      port: 0,
      tls: {
        certificate: await file("server.pem", server.certificate),
        key: await file("server.key", server.key),
        clientAuthorities: await file("clients.pem", friend.certificate),
      },
    },
    clients: [
      {
        name: "friend",
        certificateSha256: createHash("sha256").update(new X509Certificate(friend.certificate).raw).digest("hex"),
        grants: [{ role: "view" }],
      },
      {
        name: "bearer",
        bearerSha256: createHash("sha256").update(BEARER).digest("hex"),
        grants: [{ role: "view" }],
      },
      { name: "local", socket: true, grants: [{ role: "view" }] },
    ],
  });
  const source = await openTokens({ cards: [await makeCard()], pin: () => PIN });
  ends.push(() => source.close());
  const where = configuration.listen;
  if (!where) throw new Error("it listens somewhere");
  const tls = await readTls(where);
  const app = await createService({ source, configuration, version: "1", ...(tls && { tls }) });
  listening = await listen(app, where);
  ends.unshift(async () => {
    await listening[Symbol.asyncDispose]();
  });
});
afterAll(async () => {
  for (const end of ends) await end();
  await rm(folder, { recursive: true });
});

/** The status and the code of a request for the list of tokens. */
function ask(
  client: Pair | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly [number, unknown]> {
  return new Promise((resolve, reject) => {
    const credentials = client ? { cert: client.certificate, key: client.key } : {};
    const options = { ca: server.certificate, servername: "localhost", headers, agent: false as const, ...credentials };
    const sent = request(
      `${listening.address}/v1/tokens`,
      { ...options, checkServerIdentity: () => undefined },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (part: string) => (text += part));
        answer.once("end", () => {
          resolve([answer.statusCode ?? 0, (JSON.parse(text) as { readonly code?: string }).code]);
        });
      },
    );
    sent.once("error", reject);
    sent.end();
  });
}

describe("over TLS", () => {
  test.each([
    ["a client with the certificate that the configuration names", () => ask(friend), [200, undefined]],
    ["a client with its bearer token", () => ask(undefined, { authorization: `Bearer ${BEARER}` }), [200, undefined]],
    ["a certificate of another authority", () => ask(stranger), [401, "UNKNOWN_CLIENT"]],
    ["no credentials: the client of the Unix socket is not meant", () => ask(undefined), [401, "UNKNOWN_CLIENT"]],
    [
      "a wrong bearer token beside the right certificate",
      () => ask(friend, { authorization: "Bearer another-token-of-sixteen" }),
      [401, "UNKNOWN_CLIENT"],
    ],
  ] as const)("%s", async (_what, asked, expected) => {
    expect(await asked()).toEqual(expected);
  });

  test("a file that is missing is named", async () => {
    const missing = path.join(folder, "missing.pem");
    const where = { host: "127.0.0.1", port: 0, tls: { certificate: missing, key: missing } };
    await expect(readTls(where)).rejects.toThrow(`configuration: /listen/tls: ${missing} cannot be read`);
  });
});
