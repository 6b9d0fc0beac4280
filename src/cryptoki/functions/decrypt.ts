import type { Application } from "../application.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { transform, transformFinal, transformPart } from "./cipher.ts";
import { initialise } from "./initialise.ts";
import { decryptOperation } from "./key-operation.ts";

export function decryptInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
  signal?: AbortSignal,
): Promise<void> {
  return initialise({ application, handle, kind: "decrypt", mechanism, signal }, (session, wanted) =>
    decryptOperation({ application, session, use: "decrypt", mechanism: wanted, key }),
  );
}

export const decrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "decrypt", data, signal);

export const decryptUpdate = (application: Application, handle: number, part: Uint8Array): Promise<Uint8Array> =>
  transformPart(application, handle, "decrypt", part);

export const decryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "decrypt", signal);
