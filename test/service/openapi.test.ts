import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { names, running, type Running } from "./running.ts";

type Schema = Readonly<Record<string, unknown>>;
interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

let service: Running;
let document: Document;
beforeAll(async () => {
  service = await running();
  document = (await service.ask("view", "GET", "/v1/openapi.json")).body as unknown as Document;
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const operations = (): readonly (readonly [string, Operation])[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );

describe("the OpenAPI document", () => {
  test("is of version 3.1, and names every operation once", () => {
    expect(document.openapi).toBe("3.1.0");
    const ids = operations().map(([, { operationId }]) => operationId);
    expect(ids.filter((id) => id === undefined)).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.sort()).toEqual([
      ...[
        "attest",
        "batch",
        "buildApdu",
        "changePin",
        "decrypt",
        "deleteCertificate",
        "deleteData",
        "deleteKey",
        "derive",
        "events",
        "explainApdu",
        "generateKey",
      ],
      ...[
        "getCertificate",
        "getClient",
        "getKey",
        "getPin",
        "getToken",
        "importKey",
        "initialize",
        "listAllCertificates",
        "listCertificates",
        "listCertificatesOfKey",
      ],
      ...["listCommands", "listData", "listKeys", "listTokens", "login", "putCertificate", "putData", "random"],
      ...["requestCertificate", "reset", "sendApdu", "sign", "trace", "unblockPin", "unwrap", "verify"],
    ]);
  });

  test("says for each operation who may, what it takes from the address, and what a refusal is", () => {
    for (const [name, { summary, description, parameters = [], responses }] of operations()) {
      expect({ name, summary: summary !== undefined, role: /role `\w+`/u.test(description ?? "") }).toEqual({
        ...{ name, summary: true, role: true },
      });
      const inPath = [...name.matchAll(/\{(\w+)\}/gu)].map(([, one]) => one);
      const declared = parameters.filter((one) => one.in === "path" && one.required).map((one) => one.name);
      expect({ name, declared: declared.sort() }).toEqual({ name, declared: inPath.sort() });
      if (["GET /v1/events", "GET /v1/trace"].includes(name)) continue;
      expect({ name, refused: Object.keys(responses["default"]?.content ?? {}) }).toEqual({
        ...{ name, refused: ["application/problem+json"] },
      });
    }
  });

  test("has answers as the service gives them", async () => {
    const { token, key } = await names(service);
    const rows = [
      ["get", "/v1/tokens"],
      ["get", "/v1/tokens/{token}"],
      ["get", "/v1/tokens/{token}/keys"],
      ["get", "/v1/tokens/{token}/certificates"],
      ["get", "/v1/tokens/{token}/pin"],
      ["get", "/v1/keys/{key}"],
    ] as const;
    for (const [method, path] of rows) {
      const { body, status } = await service.ask("view", "GET", path.replace("{token}", token).replace("{key}", key));
      const schema = document.paths[path]?.[method]?.responses["200"]?.content?.["application/json"]?.schema;
      expect({ path, status, problems: problems(schema ?? {}, body, path) }).toEqual({
        path,
        status: 200,
        problems: [],
      });
    }
  });
});

/** What in a value is not as its schema says: missing, unknown and mistyped fields. */
function problems(schema: Schema, value: unknown, where: string): string[] {
  const {
    type,
    properties = {},
    required = [],
    items,
  } = schema as {
    readonly type?: string;
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly required?: readonly string[];
    readonly items?: Schema;
  };
  if (type === "array" && Array.isArray(value))
    return value.flatMap((one, index) => problems(items ?? {}, one, `${where}/${index}`));
  if (type === "object" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    const fields = Object.entries(value);
    const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${where}/${name} is missing`);
    const wrong = fields.flatMap(([name, one]) => {
      const known = properties[name];
      if (known) return problems(known, one, `${where}/${name}`);
      return Object.keys(properties).length === 0 ? [] : [`${where}/${name} is not in the schema`];
    });
    return [...missing, ...wrong];
  }
  const kind = type === "integer" ? "number" : type;
  return kind === undefined || typeof value === kind ? [] : [`${where} is ${typeof value}, not ${kind}`];
}
