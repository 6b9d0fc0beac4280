import { readFile } from "node:fs/promises";
import { secretUtf8 } from "../../bytes/index.ts";
import { matchesToken, type Pkcs11Uri } from "../../cryptoki/index.ts";
import type { FarmPinRequest, FarmPinSource } from "../../farm/index.ts";
import { FileError, UsageError } from "../output/failures.ts";
import { readUri } from "./token.ts";

/** Where a worker's PINs are. */
export interface FarmPinOptions {
  readonly pinFile?: string;
  /** A PKCS #11 URI: whose PIN --pin-file has. */
  readonly token?: string;
  readonly config?: string;
}

export const AMBIGUOUS_PIN =
  "--pin-file has one PIN, and several tokens want one: name its token with --token, or the PIN of each with --config";

export interface FarmPins {
  readonly source: FarmPinSource;
  /** Whether one PIN was wanted for several tokens: none of them got it. */
  readonly isAmbiguous: () => boolean;
}

/** A PIN goes to the token that it belongs to and to no other: each wrong one would spend a try. */
export async function farmPins(
  { pinFile, token, config }: FarmPinOptions,
  env: NodeJS.ProcessEnv,
): Promise<FarmPins | undefined> {
  if (token !== undefined && pinFile === undefined) throw new UsageError("--token says whose PIN --pin-file has");
  if (config !== undefined) {
    if (pinFile !== undefined) throw new UsageError("--pin-file or --config, not both");
    return { source: await configuredPins(config, env), isAmbiguous: () => false };
  }
  if (pinFile === undefined) return undefined;
  if (token !== undefined) {
    const uri = readUri(token);
    const source: FarmPinSource = async (request) => (fits(uri, request) ? pinInFile(pinFile) : undefined);
    return { source, isAmbiguous: () => false };
  }
  return pinOfOne(pinFile);
}

/** The PIN of the first token that wants one, if it is then the only one. */
function pinOfOne(file: string): FarmPins {
  let first: string | undefined;
  let isAmbiguous = false;
  const source: FarmPinSource = async ({ token: { serialNumber, model, label }, tokens }) => {
    const name = JSON.stringify([serialNumber, model, label]);
    if (first === undefined && tokens !== 1) {
      isAmbiguous = true;
      throw new UsageError(AMBIGUOUS_PIN);
    }
    first ??= name;
    return first === name ? pinInFile(file) : undefined;
  };
  return { source, isAmbiguous: () => isAmbiguous };
}

async function configuredPins(file: string, env: NodeJS.ProcessEnv): Promise<FarmPinSource> {
  const { readConfiguration } = await import("../../service/index.ts");
  const { tokens = [], ...others } = await readConfiguration(file);
  const [other] = Object.keys(others);
  if (other !== undefined) throw new UsageError(`${file}: a worker reads "tokens" only, not "${other}"`);
  const places = tokens.map(({ token, pin }) => ({ uri: readUri(token), pin }));
  return async (request) => {
    const place = places.find(({ uri, pin }) => pin !== undefined && fits(uri, request))?.pin;
    if (place === undefined || "file" in place) return place && pinInFile(place.file);
    const value = env[place.environment];
    if (value === undefined) throw new UsageError(`the environment variable ${place.environment} is not set`);
    return secretUtf8(value);
  };
}

function fits(uri: Pkcs11Uri, { token, reader }: FarmPinRequest): boolean {
  const slot = { slotID: -1, slotDescription: reader, slotManufacturerID: "" };
  return matchesToken(uri, { ...slot, ...token, manufacturerID: token.manufacturer });
}

/** The first line of a file, read each time the PIN is wanted. */
async function pinInFile(file: string): Promise<Uint8Array> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new FileError(`${file} cannot be read`, { cause });
  });
  return secretUtf8(text.split(/\r?\n/u)[0] ?? "");
}
