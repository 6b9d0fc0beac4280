import type { Pcsc } from "../../pcsc/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import type { CryptoEngine } from "../engines.ts";
import { cancelled, CryptokiError } from "../errors.ts";

/** What the driver itself tells, at any time. */
const OWN: ReadonlyMap<string, () => string> = new Map([
  ["netid-system-info", systemInfo],
  // Keys without a card live in sessions here, and in no token.
  ["netid-soft-token-type", (): string => "none"],
]);

function systemInfo(): string {
  // Elsewhere than in Node there is no such object.
  const machine =
    typeof process === "undefined" ? [] : [`${process.platform} ${process.arch}`, `Node ${process.version}`];
  return ["cryptoki", ...machine].join("; ");
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD if there is none of this name. */
export function getVariable(application: Application | undefined, name: string): string {
  const value = OWN.get(name)?.() ?? application?.variables.get(name);
  if (value === undefined) throw new CryptokiError(CKR.ARGUMENTS_BAD, "no variable of this name is set");
  return value;
}

const MAX_VARIABLES = 256;
const MAX_NAME = 256;
const MAX_VALUE = 65_536;

export function setVariable(application: Application, name: string, value: string | null): void {
  const { variables } = application;
  if (typeof name !== "string" || name.length === 0 || name.length > MAX_NAME || OWN.has(name)) {
    throw new CryptokiError(
      CKR.ARGUMENTS_BAD,
      `a variable has a name of at most ${MAX_NAME} characters, not the driver's own`,
    );
  }
  if (value === null) {
    variables.delete(name);
    return;
  }
  if (typeof value !== "string" || value.length > MAX_VALUE) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `a variable is text of at most ${MAX_VALUE} characters`);
  }
  if (variables.size >= MAX_VARIABLES && !variables.has(name)) throw new CryptokiError(CKR.HOST_MEMORY);
  variables.set(name, value);
}

export async function addSlot(application: Application, reader: Pcsc, signal?: AbortSignal): Promise<number[]> {
  const given: unknown = reader;
  if (typeof given !== "object" || given === null || !("changes" in given) || !("connect" in given)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a reader has the functions of Pcsc: changes and connect");
  }
  const source = await application.slots.add(reader);
  if (signal?.aborted) {
    await application.slots.remove(source);
    throw cancelled(signal.reason);
  }
  application.added.add(source);
  return source.readers.filter(({ plugged }) => plugged).map((added) => added.slotID(0));
}

export async function removeSlot(application: Application, slotID: number): Promise<void> {
  const { reader } = application.view.slot(slotID);
  const source = [...application.added].find(({ readers }) => readers.includes(reader));
  if (!source) throw new CryptokiError(CKR.ACTION_PROHIBITED, "this application did not add this slot");
  application.added.delete(source);
  await application.slots.remove(source);
}

export function addEngine(application: Application, mechanism: number | null, engine: CryptoEngine | null): void {
  if (mechanism !== null && (!Number.isInteger(mechanism) || mechanism < 0)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is for a mechanism (CKM), or for random numbers (null)");
  }
  const given: unknown = engine;
  if (given !== null && (typeof given !== "object" || !("name" in given))) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is an object with a name and the functions that it has");
  }
  application.engines.set(mechanism, engine ?? undefined);
}
