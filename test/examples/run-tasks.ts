/**
 * Runs the programs of examples/tasks as they stand, one after the other, each with a card of this process in the place of the reader.
 * Prints for each what it printed, and what came of it, as JSON.
 */
import {
  createCipheriv,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  verify,
} from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Cryptoki, MemoryReaders, openTokens, profiles } from "cryptoki";
import { P11KitServer } from "cryptoki/p11kit";
import { VirtualPivCard, VirtualPkcs15Card } from "cryptoki/virtual";

const PIN = "123456";
const PUK = "12345678";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
const LETTERS = 20;

const [folder = "."] = process.argv.slice(2);
process.chdir(folder);
Object.assign(process.env, {
  CRYPTOKI_PIN: PIN,
  CRYPTOKI_NEW_PIN: "654321",
  CRYPTOKI_PUK: PUK,
  CRYPTOKI_SO_PIN: MANAGEMENT_KEY,
  DAYS: "100000",
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A card, and the instructions of the commands that reached it. */
async function makeCard(): Promise<{ readonly card: VirtualPivCard; readonly instructions: number[] }> {
  const made = await VirtualPivCard.create({
    yubico: true,
    pin: PIN,
    keys: { "9a": rsa, "9c": ec, "9d": ec, "9e": ec },
  });
  const instructions: number[] = [];
  const transmit = made.transmit.bind(made);
  made.transmit = (command) => {
    // A VERIFY without data only asks for the tries.
    if (command[1] !== 0x20 || command.length > 5) instructions.push(command[1] ?? 0);
    return transmit(command);
  };
  return { card: made, instructions };
}

const results: Record<string, unknown> = {};
const printed: string[] = [];
let hear: (line: string) => void = () => undefined;
console.log = (...values: readonly unknown[]): void => {
  const line = values.map(String).join(" ");
  printed.push(line);
  hear(line);
};

const place = globalThis as unknown as { options: unknown };

/** Runs a program with other readers than those of this machine. */
async function run(name: string, options: unknown, edit: (text: string) => string = (text) => text): Promise<string[]> {
  const text = await readFile(path.join("tasks", `${name}.ts`), "utf8");
  const onCard = edit(text).replace(/openTokens\(\{ ?/u, "openTokens({ ...globalThis.options, ");
  const file = path.resolve("tasks", `${name}.run.ts`);
  await writeFile(file, onCard);
  place.options = options;
  printed.length = 0;
  await import(pathToFileURL(file).href);
  return [...printed];
}

const isValid = (letter: string, signature: string): Promise<boolean> =>
  Promise.all([readFile(letter), readFile(signature)]).then(([data, made]) =>
    verify("sha256", data, rsa.publicKey, made),
  );

await writeFile("letter.txt", "an important letter");
await mkdir("letters");
for (let number = 0; number < LETTERS; number++) await writeFile(`letters/${number}.txt`, `letter ${number}`);

const { card, instructions } = await makeCard();
const cards = [card];

await run("sign-a-file", { cards });
results["sign-a-file"] = await isValid("letter.txt", "letter.sig");

instructions.length = 0;
await run("sign-many-files", { cards });
const valid = await Promise.all(
  Array.from({ length: LETTERS }, (_, number) => isValid(`letters/${number}.txt`, `letters/${number}.txt.sig`)),
);
results["sign-many-files"] = {
  valid: valid.filter(Boolean).length,
  verifications: instructions.filter((instruction) => instruction === 0x20).length,
};

results["json-web-token"] = await run("json-web-token", { cards });

await run("cms-message", { cards });
results["cms-message"] = (await readFile("letter.p7s")).subarray(0, 2).toString("hex");

results["certificate-request"] = await run("certificate-request", { cards });

await run("ssh-signature", { cards });
results["ssh-signature"] = sshSignatureIsValid(await readFile("letter.txt.sig", "utf8"), await readFile("letter.txt"));

const [secret, iv] = [randomBytes(32), randomBytes(16)];
const cipher = createCipheriv("aes-256-cbc", secret, iv);
await writeFile("letter.iv", iv);
await writeFile("letter.key", publicEncrypt({ key: rsa.publicKey, oaepHash: "sha256" }, secret));
await writeFile("letter.box", Buffer.concat([cipher.update("meet me at noon"), cipher.final()]));
await run("decrypt-a-stream", { cards });
results["decrypt-a-stream"] = await readFile("letter.out", "utf8");

await writeFile("peer.pem", ec.publicKey.export({ format: "pem", type: "spki" }));
results["agree-on-a-key"] = await run("agree-on-a-key", { cards });

results["renew-certificates"] = await run("renew-certificates", { cards });
{
  await using opened = await openTokens({ cards });
  const token = await opened.token();
  const issuers: string[] = [];
  for await (const { issuer } of token.certificates.find()) issuers.push(issuer);
  results["renewed by"] = issuers.filter((issuer) => issuer === "CN=Authority of an example").length;
  await using officer = await token.asOfficer(MANAGEMENT_KEY);
  await officer.keys.generate({ reference: "9a", type: "ec", curve: "P-256", replace: true });
}
results["attest-a-key"] = (await run("attest-a-key", { cards })).length;

const readers = new MemoryReaders();
readers.plug("Reader");
readers.insert("Reader", card);
hear = (): void => {
  readers.eject("Reader");
};
const pcsc = readers.client();
results["watch-cards"] = (await run("watch-cards", { pcsc, profiles })).length;
await pcsc.close();
hear = (): void => undefined;

{
  await using opened = await openTokens({ cards });
  const token = await opened.token();
  for (let tries = 0; tries < 3; tries++) await token.login("999999").catch(() => undefined);
  results["before unlock-a-pin"] = (await token.pinState()).status;
}
results["unlock-a-pin"] = await run("unlock-a-pin", { cards });
process.env["CRYPTOKI_PIN"] = "654321";

const eid = await VirtualPkcs15Card.create();
{
  await using opened = await openTokens({ cards: [eid] });
  const labels: string[] = [];
  for await (const token of opened.tokens()) labels.push((await token.info()).label);
  process.env["PINS"] = JSON.stringify(
    Object.fromEntries(labels.map((label, index) => [label, [PIN, "654321"][index]])),
  );
}
results["two-pins"] = await run("two-pins", { cards: [eid] });

const served = new MemoryReaders();
served.plug("Reader");
served.insert("Reader", (await makeCard()).card);
const client = served.client();
const server = await P11KitServer.listen(path.resolve("private", "socket"), {
  application: () => new Cryptoki({ pcsc: client, profiles }),
});
process.env["CRYPTOKI_PIN"] = PIN;
results["remote-module"] = await run("remote-module", {}, (text) =>
  text.replace(/server = ".*"/u, `server = ${JSON.stringify(server.address)}`),
);
await server[Symbol.asyncDispose]();
await client.close();

results["test-with-a-virtual-card"] = await run("test-with-a-virtual-card", {});

process.stdout.write(JSON.stringify(results));

/** PROTOCOL.sshsig of OpenSSH. */
function sshSignatureIsValid(text: string, message: Uint8Array): boolean {
  const bytes = Buffer.from(text.replaceAll(/-----.*-----|\n/gu, ""), "base64");
  const fields: Buffer[] = [];
  for (let rest = bytes.subarray(10); rest.length > 0;) {
    const length = rest.readUInt32BE(0);
    fields.push(rest.subarray(4, 4 + length));
    rest = rest.subarray(4 + length);
  }
  const string = (value: Uint8Array): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return Buffer.concat([length, value]);
  };
  const hash = createHash("sha512").update(message).digest();
  const signed = Buffer.concat([
    Buffer.from("SSHSIG"),
    ...["file", "", "sha512"].map((name) => string(Buffer.from(name))),
    string(hash),
  ]);
  const blob = fields.at(-1) ?? Buffer.alloc(0);
  const signature = blob.subarray(4 + "rsa-sha2-512".length + 4);
  return verify("sha512", signed, createPublicKey(rsa.publicKey.export({ format: "pem", type: "spki" })), signature);
}
