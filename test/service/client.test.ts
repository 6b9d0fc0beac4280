import { createPublicKey, verify } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";
import { bearer, running, type Running } from "./running.ts";

/** The program of a client, as its author writes it: `schema.ts` is generated from the document that the service serves. */
const PROGRAM = `
import createClient from "openapi-fetch";
import type { paths } from "./schema.ts";

export async function enrol(fetch: (request: Request) => Promise<Response>, token: string) {
  const client = createClient<paths>({ baseUrl: "http://localhost", fetch, headers: { "cryptoki-client": "generated" } });
  const made = await client.POST("/v1/tokens/{token}/keys", {
    params: { path: { token }, header: { "idempotency-key": "generated-client" } },
    body: { type: "ec", curve: "P-256", reference: "9e", replace: true },
  });
  if (!made.data) throw new Error(made.error.code);
  const { key, jwk } = made.data;
  const asked = await client.POST("/v1/tokens/{token}/keys/{key}/request", {
    params: { path: { token, key } },
    body: { subject: "CN=Ada Lovelace" },
  });
  const signed = await client.POST("/v1/keys/{key}/sign", {
    params: { path: { key } },
    body: { alg: "ES256", data: "aGVsbG8" },
  });
  const refused = await client.POST("/v1/keys/{key}/sign", { params: { path: { key } }, body: { alg: "RS256", data: "" } });
  return { jwk, request: asked.data?.request, signature: signed.data?.signature, refused: refused.error?.code };
}
`;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let service: Running;
let document: Readonly<Record<string, unknown>>;
let folder: string;
beforeAll(async () => {
  service = await running();
  document = (await service.ask("view", "GET", "/v1/openapi.json")).body;
  // Within the project, so that the client finds its packages.
  await mkdir(path.join(ROOT, "node_modules/.cache"), { recursive: true });
  folder = await mkdtemp(path.join(ROOT, "node_modules/.cache/client-"));
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test("the OpenAPI document keeps the rules of a linter", async () => {
  const config = await createConfig({
    extends: ["recommended"],
    rules: {
      // The service has the licence of its package, and the address that its operator gives it.
      ...{ "info-license": "off", "no-empty-servers": "off" },
      // Every refusal is a problem: the answer "default" says so once.
      "operation-4xx-response": "off",
    },
  });
  const problems = await lintFromString({ source: JSON.stringify(document), config });
  expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual([]);
});

/** What the compiler says of a program beside the generated types. */
async function compile(program: string): Promise<readonly string[]> {
  await writeFile(path.join(folder, "schema.ts"), astToString(await openapiTS(document as never)));
  const file = path.join(folder, "client.ts");
  await writeFile(file, program);
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true, types: [] },
    ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"] },
  };
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([file], options));
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

test("a client that is generated from the document makes a key, a request and a signature", async () => {
  expect(await compile(PROGRAM)).toEqual([]);
  // The types are no mere words: a field that the service refuses is refused by the compiler.
  expect((await compile(PROGRAM.replace('"P-256"', '"P-257"'))).join()).toContain('"P-257"');

  const file = path.join(folder, "client.mjs");
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  await writeFile(file, ts.transpileModule(PROGRAM, { compilerOptions: options }).outputText);
  const { enrol } = (await import(pathToFileURL(file).href)) as {
    enrol: (fetch: (request: Request) => Promise<Response>, token: string) => Promise<Record<string, unknown>>;
  };
  const { body } = await service.ask("all", "GET", "/v1/tokens");
  const { jwk, request, signature, refused } = await enrol(fetchFrom(service), String(body.items[0]?.["token"]));
  expect(String(request)).toContain("BEGIN CERTIFICATE REQUEST");
  expect(refused).toBe("KEY_CANNOT");
  const key = createPublicKey({ key: jwk as never, format: "jwk" });
  const made = Buffer.from(String(signature), "base64url");
  expect(verify("sha256", Buffer.from("hello"), { key, dsaEncoding: "ieee-p1363" }, made)).toBe(true);
}, 60_000);

/** `fetch` over the Unix socket of a service. */
const fetchFrom =
  ({ socket }: Running) =>
  async (request: Request): Promise<Response> => {
    const body = Buffer.from(await request.arrayBuffer());
    const { pathname } = new URL(request.url);
    const headers = { ...Object.fromEntries(request.headers), authorization: `Bearer ${bearer("all")}` };
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ socketPath: socket, method: request.method, path: pathname, headers }, (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.once("end", () => {
          const { statusCode = 0 } = answer;
          const type = String(answer.headers["content-type"]);
          resolve(new Response(Buffer.concat(parts), { status: statusCode, headers: { "content-type": type } }));
        });
      });
      sent.once("error", reject);
      sent.end(body);
    });
  };
