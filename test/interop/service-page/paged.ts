import "reflect-metadata";
import { createHash, createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { X509CertificateGenerator } from "@peculiar/x509";
import { traceTransmit } from "../../../src/apdu/index.ts";
import { Cryptoki, MemoryReaders, profiles } from "../../../src/index.ts";
import {
  checkConfiguration,
  createService,
  listen,
  PracticeCard,
  readTls,
  Secrets,
  TraceFeed,
} from "../../../src/service/index.ts";
import { openTokens } from "../../../src/tokens/index.ts";
import { MAIN } from "../../cli/built.ts";
import { selfSigned } from "../../service/self-signed.ts";
import { pivCard, testKey } from "../../virtual/keys.ts";

export const PIN = "654321";
/** The page as the package has it. */
const PAGE = pathToFileURL(`${path.join(path.dirname(MAIN), "..", "web")}/`);
export const DAY = 86_400_000;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
export const bearer = (name: string): string => `token-of-the-browser-${name}`;

/** The service with its page, and two readers: a card is in the first. */
export interface Paged extends AsyncDisposable {
  readonly address: string;
  readonly readers: MemoryReaders;
  /** A card whose certificates do not expire soon. */
  readonly otherCard: () => ReturnType<typeof pivCard>;
}

/** Starts the service at a port of its own, over TLS. The signature key's certificate ends in 20 days. */
export async function paged(): Promise<Paged> {
  const folder = await mkdtemp(path.join(tmpdir(), "page-"));
  const server = await selfSigned("localhost");
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  const configuration = checkConfiguration({
    listen: {
      host: "127.0.0.1",
      port: 0,
      tls: { certificate: await file("server.pem", server.certificate), key: await file("server.key", server.key) },
    },
    clients: [
      {
        name: "administrator",
        bearerSha256: sha256(bearer("administrator")),
        grants: (["use", "manage", "admin"] as const).map((role) => ({ role })),
        pinsInRequests: true,
      },
      { name: "visitor", bearerSha256: sha256(bearer("visitor")), grants: [{ role: "view" }] },
    ],
    tokens: [{ token: "pkcs11:model=PIV", pin: { environment: "PIN" } }],
    page: true,
  });
  const readers = new MemoryReaders();
  readers.plug("Desk reader");
  readers.plug("Second reader");
  const signatureKey = testKey("p-256", "page 9c");
  readers.insert(
    "Desk reader",
    await pivCard({
      ...{ yubico: true, extended: true, pin: PIN, serial: 1001 },
      keys: {
        "9a": { privateKey: testKey("rsa-2048", "9a") },
        "9c": { privateKey: signatureKey, certificate: await certificate(signatureKey, 20 * DAY - 3_600_000) },
        "9d": null,
        "9e": null,
        "82": { privateKey: testKey("ed25519", "82") },
      },
    }),
  );
  const trace = new TraceFeed();
  const pcsc = readers.client();
  const cryptoki = new Cryptoki({
    pcsc,
    profiles,
    wrap: (transmit, reader) => traceTransmit(transmit, trace.apdu, reader),
    trace: (_line, event) => {
      if (event && "function" in event) trace.call(event);
    },
  });
  await cryptoki.C_Initialize();
  const secrets = new Secrets(configuration.tokens ?? [], { PIN });
  const source = await openTokens({ cryptoki, pin: secrets.pin });
  const where = configuration.listen;
  if (!where) throw new Error("it listens somewhere");
  const tls = await readTls(where);
  const app = await createService({
    ...{ source, configuration, secrets, trace, version: "1", page: PAGE },
    practiceCard: new PracticeCard(() => pivCard({ keys: { "9a": null, "9c": null, "9d": null, "9e": null } })),
    ...(tls && { tls }),
  });
  const listening = await listen(app, where);
  return {
    address: listening.address,
    readers,
    otherCard: () =>
      pivCard({
        ...{ yubico: true, extended: true, pin: PIN, serial: 1002 },
        keys: { "9a": { privateKey: testKey("p-256", "9d") }, "9c": null, "9d": null, "9e": null },
      }),
    [Symbol.asyncDispose]: async () => {
      await listening[Symbol.asyncDispose]();
      await source.close();
      await cryptoki.C_Finalize();
      await pcsc.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A self-signed certificate for a P-256 key that ends so many milliseconds from now. */
async function certificate(key: KeyObject, remaining: number): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const imported = (form: "pkcs8" | "spki", der: Uint8Array, use: "sign" | "verify"): Promise<webcrypto.CryptoKey> =>
    crypto.subtle.importKey(form, der, algorithm, true, [use]);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=Ada Signer",
    keys: {
      privateKey: await imported("pkcs8", key.export({ type: "pkcs8", format: "der" }), "sign"),
      publicKey: await imported("spki", createPublicKey(key).export({ type: "spki", format: "der" }), "verify"),
    },
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + remaining),
  });
  return made.toString("pem");
}
