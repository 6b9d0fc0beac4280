import type { Application } from "../application.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { transform, transformFinal, transformPart } from "./cipher.ts";
import { initialise } from "./initialise.ts";
import { encryptOperation } from "./key-operation.ts";

export function encryptInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
  signal?: AbortSignal,
): Promise<void> {
  return initialise({ application, handle, kind: "encrypt", mechanism, signal }, (session, wanted) =>
    encryptOperation({ application, session, use: "encrypt", mechanism: wanted, key }),
  );
}

export const encrypt = (application: Application, handle: number, data: Uint8Array): Promise<Uint8Array> =>
  transform(application, handle, "encrypt", data);

export const encryptUpdate = (application: Application, handle: number, part: Uint8Array): Promise<Uint8Array> =>
  transformPart(application, handle, "encrypt", part);

export const encryptFinal = (application: Application, handle: number): Promise<Uint8Array> =>
  transformFinal(application, handle, "encrypt");
