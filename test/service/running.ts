import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request as httpRequest, type RequestOptions } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { openTokens, type TokenSource } from "../../src/tokens/index.ts";
import { MemoryReaders, profiles } from "../../src/index.ts";
import type { AuditTrail } from "../../src/audit/index.ts";
import {
  checkConfiguration,
  createService,
  type HttpServiceOptions,
  Secrets,
  type ServiceConfiguration,
} from "../../src/service/index.ts";
import { makeCard, PIN } from "../tokens/opened.ts";

const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const ROLES = ["view", "use", "issue", "manage", "admin"] as const;

/** The bearer token of a client in these tests. */
export const bearer = (name: string): string => `token-of-the-client-${name}`;
export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A client for each role, one with all of them, and one with none. */
const CLIENTS = [
  ...ROLES.map((role) => ({ name: role, bearerSha256: sha256(bearer(role)), grants: [{ role }] })),
  {
    name: "all",
    bearerSha256: sha256(bearer("all")),
    grants: ROLES.map((role) => ({ role })),
    pinsInRequests: true,
  },
  { name: "none", bearerSha256: sha256(bearer("none")), grants: [] },
];

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Record<string, unknown> & { readonly items: readonly Record<string, unknown>[] };
  readonly bytes: Buffer;
}

/** A service over a virtual YubiKey in this process. */
export interface Running extends AsyncDisposable {
  /** The path of its Unix socket. */
  readonly socket: string;
  readonly readers: MemoryReaders;
  readonly source: TokenSource;
  readonly exchanges: string[];
  /** Lets the card answer nothing until the result is called. */
  readonly hold: () => () => void;
  /** Takes the card out when it has done a command, before its answer arrives. */
  readonly pullAfter: (instruction: string) => { readonly insert: () => void };
  /** Commands VERIFY with a PIN in them. */
  readonly pinTries: () => number;
  readonly ask: (
    client: string,
    method: "GET" | "POST" | "PUT" | "DELETE",
    url: string,
    options?: Asked,
  ) => Promise<Answer>;
}

interface Asked {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: string;
}

interface RunningOptions {
  readonly configuration?: Partial<ServiceConfiguration>;
  readonly audit?: AuditTrail;
  readonly pin?: string | undefined;
  /** What the service offers beside the tokens. */
  readonly offers?: Pick<HttpServiceOptions, "page" | "trace" | "practiceCard">;
}

export async function running({ configuration, audit, pin = PIN, offers }: RunningOptions = {}): Promise<Running> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  const exchanges: string[] = [];
  let held: Promise<void> | undefined;
  const card = await makeCard();
  let pulled: string | undefined;
  const inserted = {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command: Uint8Array) => {
      await held;
      const header = Buffer.from(command.subarray(0, 5)).toString("hex");
      exchanges.push(header);
      const answer = await card.transmit(command);
      if (header.slice(2, 4) === pulled) {
        pulled = undefined;
        readers.eject("Reader");
      }
      return answer;
    },
  };
  readers.insert("Reader", inserted);
  const tokens = [{ token: "pkcs11:model=PIV", pin: { environment: "PIN" }, officerPin: { environment: "OFFICER" } }];
  const whole = checkConfiguration({ clients: CLIENTS, tokens, ...configuration });
  const secrets = new Secrets(whole.tokens ?? [], { PIN: pin, OFFICER: MANAGEMENT_KEY });
  const pcsc = readers.client();
  const source = await openTokens({ pcsc, profiles, pin: secrets.pin });
  const app = await createService({
    source,
    configuration: whole,
    secrets,
    version: "1",
    ...offers,
    ...(audit && { audit }),
  });
  const folder = await mkdtemp(path.join(tmpdir(), "service-"));
  const socket = path.join(folder, "http");
  await app.listen({ path: socket });
  const agent = new Agent({ keepAlive: true });
  const ask: Running["ask"] = async (client, method, url, { body, headers, key } = {}) => {
    const isBytes = body instanceof Uint8Array;
    const answer = await exchange(
      {
        ...{ socketPath: socket, agent, method, path: url },
        headers: {
          ...(client !== "" && { authorization: `Bearer ${bearer(client)}` }),
          ...(headers?.["cryptoki-client"] === undefined && { "cryptoki-client": "test" }),
          ...(body !== undefined && !isBytes && { "content-type": "application/json" }),
          ...(key !== undefined && { "idempotency-key": key }),
          ...Object.fromEntries(Object.entries(headers ?? {}).filter(([, value]) => value !== "")),
        },
      },
      body === undefined ? undefined : isBytes ? body : typeof body === "string" ? body : JSON.stringify(body),
    );
    const isJson = String(answer.headers["content-type"]).includes("json");
    return {
      ...answer,
      body: (isJson && answer.bytes.length > 0 ? JSON.parse(answer.bytes.toString()) : {}) as Answer["body"],
    };
  };
  return {
    socket,
    readers,
    source,
    exchanges,
    pinTries: () => exchanges.filter((line) => line.startsWith("0020") && line.length === 10).length,
    hold: () => {
      let end = (): void => undefined;
      held = new Promise((resolve) => (end = resolve));
      return end;
    },
    pullAfter: (instruction) => {
      pulled = instruction;
      return {
        insert: () => {
          readers.insert("Reader", inserted);
        },
      };
    },
    ask,
    [Symbol.asyncDispose]: async () => {
      agent.destroy();
      await app.close();
      await source.close();
      await pcsc.close();
      await rm(folder, { recursive: true });
    },
  };
}

function exchange(
  options: RequestOptions,
  body: string | Uint8Array | undefined,
): Promise<Pick<Answer, "status" | "headers" | "bytes">> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(options, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.once("error", reject);
      answer.once("end", () => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(parts) });
      });
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

/** The name of the only token, and the fingerprint of the key with a reference. */
export async function names(service: Running, reference = "9a"): Promise<{ token: string; key: string }> {
  const { body } = await service.ask("all", "GET", "/v1/tokens");
  const token = String(body.items[0]?.["token"]);
  const keys = await service.ask("all", "GET", `/v1/tokens/${token}/keys`);
  const key = keys.body.items.find((one) => one["reference"] === reference);
  return { token, key: String(key?.["key"]) };
}
