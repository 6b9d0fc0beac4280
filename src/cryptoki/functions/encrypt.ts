import type { Application } from "../application.ts";
import { transform, transformFinal, transformPart } from "./cipher.ts";
import { keyedInit } from "./initialise.ts";
import { encryptOperation } from "./key-operation.ts";

export const encryptInit = keyedInit("encrypt", "encrypt", encryptOperation);

export const encrypt = (
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transform(application, handle, "encrypt", data, signal);

export const encryptUpdate = (
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> => transformPart(application, handle, "encrypt", part, signal);

export const encryptFinal = (application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> =>
  transformFinal(application, handle, "encrypt", signal);
