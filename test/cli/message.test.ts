import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createHash, constants, type KeyObject, verify, X509Certificate } from "node:crypto";
import { createReadStream, readFileSync, truncateSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { peakMemory } from "../../bench/peak-memory.ts";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, json, type Outcome } from "./program.ts";

const MIB = 1 << 20;
/** More than a message may have to be held in memory. */
const LONG = Buffer.alloc(3 * MIB, "a long message ");

let folder: CardFolder;
let file = "";
beforeAll(async () => {
  folder = await CardFolder.create({
    yubico: true,
    keys: { "9a": "rsa-2048", "9c": "p-256", "9d": null, "9e": "ed25519" },
  });
  file = folder.file("long", LONG);
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given = PIN as Parameters<typeof cryptoki>[1]): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);

async function publicKey(id: string): Promise<KeyObject> {
  return new X509Certificate((await onCard(["read", "--id", id, "--format", "der"])).bytes).publicKey;
}

describe("a long message is hashed while it is read", () => {
  test.each([
    ["01", [], "sha256", { padding: constants.RSA_PKCS1_PADDING }],
    ["01", ["--hash", "sha512"], "sha512", { padding: constants.RSA_PKCS1_PADDING }],
    [
      "01",
      ["--mechanism", "SHA384_RSA_PKCS_PSS"],
      "sha384",
      { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
    ],
    ["02", [], "sha256", { dsaEncoding: "der" }],
  ] as const)("key %s with %j: the signature is one of the whole", async (id, options, hash, padding) => {
    const signed = await onCard(["sign", "--id", id, ...options, "--json", file]);
    const { signature } = json(signed) as { signature: string };
    const bytes = Buffer.from(signature, "base64");
    expect(verify(hash, LONG, { key: await publicKey(id), ...padding }, bytes)).toBe(true);
    const fromStdin = await onCard(["sign", "--id", id, ...options], { ...PIN, stdin: LONG });
    expect(verify(hash, LONG, { key: await publicKey(id), ...padding }, fromStdin.bytes)).toBe(true);
    const path = folder.file("signature", bytes);
    expect((await onCard(["verify", "--id", id, ...options, "--signature", path, file])).stdout).toMatch(/^Valid/u);
    const changed = folder.file("changed", Buffer.concat([LONG.subarray(0, -1), Buffer.from("!")]));
    expect(await onCard(["verify", "--id", id, ...options, "--signature", path, changed])).toMatchObject({ code: 1 });
  });

  test.each([
    ["01", ["--mechanism", "RSA_PKCS"], "CKR_DATA_LEN_RANGE"],
    ["04", [], "wrong length (6700) from GENERAL AUTHENTICATE"],
  ])("key %s with %j signs no hash: what is too long for the card is refused", async (id, options, message) => {
    const { code, stderr } = await onCard(["sign", "--id", id, ...options, file]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  test("the beginning and the rest are each read once", async () => {
    const hash = createHash("sha256").update(LONG).digest();
    const digest = folder.file("digest", hash);
    const bare = await onCard(["sign", "--id", "02", "--mechanism", "ECDSA", digest]);
    const path = folder.file("bare", bare.bytes);
    expect((await onCard(["verify", "--id", "02", "--hash", "sha256", "--signature", path, file])).code).toBe(0);
  });
});

describe("memory", () => {
  // A program that holds the message has at least its length more; Node's own share varies by a few MiB.
  const SIZE = 128 * MIB;
  const MORE = 90 * MIB;
  const program = [
    "--import",
    import.meta.resolve("tsx"),
    fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url)),
  ];

  test("for a file and for standard input of 128 MiB is no more than for a short one", async () => {
    const big = folder.file("big", "a big message");
    truncateSync(big, SIZE);
    const sign = [...program, "--virtual", folder.card, "sign", "--id", "02", "--force", "--output"];
    const [short, ofFile, ofStdin] = await Promise.all([
      peakMemory([...sign, folder.file("short.sig"), folder.file("short", "short")], PIN.env),
      peakMemory([...sign, folder.file("file.sig"), big], PIN.env),
      peakMemory([...sign, folder.file("stdin.sig")], PIN.env, big),
    ]);
    expect(ofFile - short).toBeLessThan(MORE);
    expect(ofStdin - short).toBeLessThan(MORE);
    const key = await publicKey("02");
    const hash = createHash("sha256");
    for await (const part of createReadStream(big)) hash.update(part as Buffer);
    const digest = folder.file("big.digest", hash.digest());
    for (const name of ["file.sig", "stdin.sig"]) {
      const outcome = await onCard([
        "verify",
        "--id",
        "02",
        "--mechanism",
        "ECDSA",
        "--signature",
        folder.file(name),
        digest,
      ]);
      expect([outcome.code, outcome.stderr]).toEqual([0, ""]);
    }
    expect(key.asymmetricKeyType).toBe("ec");
    expect(readFileSync(folder.file("short.sig")).length).toBeGreaterThan(60);
  }, 60_000);
});
