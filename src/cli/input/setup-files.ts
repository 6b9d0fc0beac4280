import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { utf8 } from "../../bytes/index.ts";
import type { SetupStore, Transcript, TranscriptSigner } from "../../setup/index.ts";
import { FileError } from "../output/failures.ts";
import { FOR, LIMIT, readFailure, readPublicKey, readWhole, systemCode, writeFailure } from "./files.ts";

/** Files of a setup in a folder, which is made with the first one. */
export function setupStore(folder: string): SetupStore {
  const at = (name: string): string => path.join(folder, name);
  return {
    async read(name) {
      try {
        return new Uint8Array(await readFile(at(name)));
      } catch (cause) {
        if (systemCode(cause) === "ENOENT") return undefined;
        throw readFailure(at(name), cause);
      }
    },
    async write(name, bytes, secret = false) {
      const temporary = at(`.${name}.new`);
      try {
        await mkdir(folder, { recursive: true });
        await rm(temporary, { force: true });
        {
          await using file = await open(temporary, "wx", secret ? FOR.USER : FOR.ALL);
          await file.writeFile(bytes);
          await file.sync();
        }
        await rename(temporary, at(name));
        // The name is on the disk only with its folder.
        await using opened = await open(folder);
        await opened.sync();
      } catch (cause) {
        throw writeFailure(at(name), cause);
      }
    },
    async remove(name) {
      await rm(at(name), { force: true });
    },
  };
}

/** The key in a file, which signs transcripts. @throws {FileError} if it holds none. */
export async function transcriptSigner(file: string, signal?: AbortSignal): Promise<TranscriptSigner> {
  const pem = Buffer.from(await readWhole(file, signal, LIMIT.KEY));
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new FileError(`${file} holds no private key that is not encrypted, in PEM`, { cause });
  } finally {
    pem.fill(0);
  }
  return {
    publicKey: createPublicKey(key).export({ format: "pem", type: "spki" }).toString(),
    sign: (digest) => sign(hashFor(key), digest, key).toString("base64"),
  };
}

/** Whether a transcript is signed by the key in a file. */
export async function isSignedBy(
  { signature, digest }: Transcript,
  file: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const key = await readPublicKey(file, signal);
  if (!signature) return false;
  return verify(hashFor(key), utf8(digest), key, Buffer.from(signature.value, "base64"));
}

/** Ed25519 has a hash of its own. */
const hashFor = ({ asymmetricKeyType }: KeyObject): "sha256" | null =>
  asymmetricKeyType === "ed25519" || asymmetricKeyType === "ed448" ? null : "sha256";
