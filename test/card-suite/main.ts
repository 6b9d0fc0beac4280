/**
 * The suite for the cards that are in the readers: everything that changes nothing, and spends no try of a PIN, beside OpenSC on the same
 * cards. Prints a report to be sent to the project: no PIN, nothing secret. It ends with 1 if a result was wrong.
 *
 *     npm run test:card
 *     CRYPTOKI_PIN=... npm run test:card        also what wants a login: the first token, or the one that CRYPTOKI_TOKEN names
 */
import { parseArgs } from "node:util";
import { toHex } from "../../src/bytes/index.ts";
import { type CK_TOKEN_INFO, CKF, CKM, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { Pcscd, profiles } from "../../src/index.ts";
import { differences, pairObjects } from "./compare.ts";
import { useKeys } from "./keys.ts";
import { type Described, describeObjects } from "./objects.ts";
import { parseObjects, parseSlots, pkcs11Tool, pkcs11ToolBytes } from "./opensc.ts";

const findings: string[] = [];
let failures = 0;
let exchanges = 0;

const line = (text = ""): void => {
  // What a card says of itself may hold anything.
  process.stdout.write(`${text.replaceAll(/\p{Cc}|\p{Bidi_Control}/gu, "\ufffd")}\n`);
};

async function counted<T>(what: string, work: () => Promise<T>): Promise<T> {
  const before = exchanges;
  const result = await work();
  line(`  ${what}: ${exchanges - before} APDUs`);
  return result;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Prints every object with the fields that the two sides tell differently. Both may be right: OpenSC names some objects otherwise, and
 * allows more uses. Only bytes of a certificate that differ are wrong.
 */
function compare(ours: readonly Described[], theirs: readonly Described[]): void {
  for (const { ours: mine, theirs: other } of pairObjects(ours, theirs)) {
    const which = mine ? (other ? "both       " : "here only  ") : "OpenSC only";
    line(`  ${which} ${titleOf(mine ?? other)}`);
    if (!mine || !other) continue;
    for (const { field, ours: here, theirs: there } of differences(mine, other)) {
      line(`    ${field}: ${here || "-"} (OpenSC: ${there || "-"})`);
      if (field === "value") failures++;
    }
  }
}

function titleOf(object: Described | undefined): string {
  if (!object) return "";
  const { type, id, label, fields, value } = object;
  const details = [fields.key, fields.size, fields.uses, fields.subject, value && `${value.length} bytes`];
  return `${type} ${id} "${label}" ${details.filter(Boolean).join("; ")}`.trimEnd();
}

async function openSc<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    line(`  OpenSC: ${messageOf(error)}`);
    return undefined;
  }
}

type Fields = Readonly<Record<string, string>>;

/** @param order Which of the tokens in its reader it is: OpenSC's slots come in the same order. */
async function reportToken(cryptoki: Cryptoki, slot: number, order: number, pin?: Uint8Array): Promise<void> {
  const { slotDescription: reader } = await cryptoki.C_GetSlotInfo(slot);
  const info = await counted("token information", () => cryptoki.C_GetTokenInfo(slot));
  line(`token "${info.label}" in ${reader}`);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  let ours: readonly Described[];
  try {
    if (pin) await counted("login", () => cryptoki.C_Login(session, CKU.USER, pin));
    ours = await counted("objects", () => describeObjects(cryptoki, session));
    // Before OpenSC has the card: it makes the card forget the PIN.
    if (pin) await reportKeys(cryptoki, session, pin);
  } finally {
    await cryptoki.C_CloseSession(session);
  }
  const slots = await openSc(async () => parseSlots(await pkcs11Tool("--list-slots")));
  const theirs = slots?.filter((one) => one["reader"] === reader)[order];
  reportInfo(info, theirs);
  const login = pin ? ["--login", "--pin", "env:CRYPTOKI_PIN"] : [];
  const index = theirs?.["index"];
  const listed = index === undefined ? undefined : await openSc(() => describedByOpenSc(index, login));
  compare(ours, listed ?? []);
  await reportMechanisms(cryptoki, slot);
}

/** With the bytes of certificates, where CKA_ID and label name one alone. */
async function describedByOpenSc(index: string, login: readonly string[]): Promise<Described[]> {
  const objects = parseObjects(await pkcs11Tool("--slot-index", index, "-O", ...login));
  const described: Described[] = [];
  for (const object of objects) {
    const { type, id, label } = object;
    const namesakes = objects.filter((other) => other.type === type && other.id === id && other.label === label);
    const isReadable = type === "certificate" && id !== "" && label !== "" && namesakes.length === 1;
    const args = ["--slot-index", index, ...login, "--read-object", "--type", "cert", "--id", id, "--label", label];
    const value = isReadable ? await openSc(() => pkcs11ToolBytes(...args)) : undefined;
    described.push({ ...object, ...(value && { value: new Uint8Array(value) }) });
  }
  return described;
}

function reportInfo(info: CK_TOKEN_INFO, theirs: Fields | undefined): void {
  const compared = [
    ["label", info.label, theirs?.["token label"]],
    ["manufacturer", info.manufacturerID, theirs?.["token manufacturer"]],
    ["model", info.model, theirs?.["token model"]],
    ["serial", info.serialNumber, theirs?.["serial num"]],
    ["PIN", `${info.ulMinPinLen}/${info.ulMaxPinLen}`, theirs?.["pin min/max"]],
  ] as const;
  for (const [name, here, there = "-"] of compared) {
    line(`  ${name}: ${here}${here.toLowerCase() === there.toLowerCase() ? "" : ` (OpenSC: ${there})`}`);
  }
  line(`  flags: ${info.flags.toString(16)}`);
}

async function reportKeys(cryptoki: Cryptoki, session: number, pin: Uint8Array): Promise<void> {
  for (const { key, work, outcome } of await counted("use of all keys", () => useKeys(cryptoki, session, pin))) {
    line(`  key ${key}: ${work} ${outcome}`);
    if (outcome !== "right" && !outcome.startsWith("left out")) failures++;
  }
}

/** Those that the card computes. */
async function reportMechanisms(cryptoki: Cryptoki, slot: number): Promise<void> {
  const names = new Map<number, string>(Object.entries(CKM).map(([name, type]) => [type, name]));
  for (const type of await cryptoki.C_GetMechanismList(slot)) {
    const { flags, ulMinKeySize, ulMaxKeySize } = await cryptoki.C_GetMechanismInfo(slot, type);
    if (flags & CKF.HW) line(`  mechanism ${names.get(type) ?? type.toString(16)}: ${ulMinKeySize} to ${ulMaxKeySize}`);
  }
}

const HELP = `npm run test:card

Tries the cards in the readers of pcscd, beside OpenSC (pkcs11-tool), and prints a report. It changes nothing, and spends no try of a PIN.

CRYPTOKI_PIN    the PIN of one token: each of its keys is used once. A wrong one costs a try.
CRYPTOKI_TOKEN  the label of that token; the first one if left out
`;

/** Whether parseArgs refuses the command line. */
const isUsage = (error: unknown): boolean =>
  error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: "boolean", short: "h" } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  await reportCards();
}

async function reportCards(): Promise<void> {
  const pinText = process.env["CRYPTOKI_PIN"];
  const wanted = process.env["CRYPTOKI_TOKEN"];
  await using pcsc = new Pcscd();
  await using cryptoki = new Cryptoki({
    pcsc,
    profiles,
    wrap: (transmit) => (command, options) => {
      exchanges++;
      return transmit(command, options);
    },
    findings: ({ where, problem }, reader) => findings.push(`${reader}: ${where}: ${problem}`),
  });
  await cryptoki.C_Initialize();
  for (const { name, atr, present } of await pcsc.readers()) {
    line(`reader ${name}: ${present ? `ATR ${toHex(atr)}` : "no card"}`);
  }
  const slots = await counted("all slots", () => cryptoki.C_GetSlotList(true));
  // One PIN for one token, and once: a PIN of another token would spend a try.
  let pin = pinText === undefined ? undefined : Buffer.from(pinText);
  const inReader = new Map<string, number>();
  for (const slot of slots) {
    try {
      const { slotDescription } = await cryptoki.C_GetSlotInfo(slot);
      const order = inReader.get(slotDescription) ?? 0;
      inReader.set(slotDescription, order + 1);
      const { label } = await cryptoki.C_GetTokenInfo(slot);
      const mine = wanted === undefined || label === wanted ? pin : undefined;
      if (mine) pin = undefined;
      await reportToken(cryptoki, slot, order, mine);
    } catch (error) {
      failures++;
      line(`  slot ${slot}: ${messageOf(error)}`);
    }
  }
  if (pin && wanted !== undefined) {
    failures++;
    line(`no token was tried with the PIN: none has the label "${wanted}" of CRYPTOKI_TOKEN`);
  }
  for (const finding of findings) line(`finding ${finding}`);
  const none = "no card was tried: there is none in a reader that this driver knows";
  if (slots.length === 0) failures++;
  line(
    slots.length === 0 ? none : failures === 0 ? "no result was wrong" : `${failures} results were wrong, or missing`,
  );
  if (failures > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`test:card: ${messageOf(error)}\n`);
  if (isUsage(error)) process.stderr.write(`\n${HELP}`);
  process.exitCode = isUsage(error) ? 2 : 1;
}
