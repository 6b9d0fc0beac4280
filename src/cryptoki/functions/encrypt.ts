import type { Application } from "../application.ts";
import { transform, transformFinal, transformPart } from "./cipher.ts";
import { keyedInit } from "./initialise.ts";
import { encryptOperation } from "./key-operation.ts";

export const encryptInit = keyedInit("encrypt", "encrypt", encryptOperation);

export const encrypt = (application: Application, handle: number, data: Uint8Array): Promise<Uint8Array> =>
  transform(application, handle, "encrypt", data);

export const encryptUpdate = (application: Application, handle: number, part: Uint8Array): Promise<Uint8Array> =>
  transformPart(application, handle, "encrypt", part);

export const encryptFinal = (application: Application, handle: number): Promise<Uint8Array> =>
  transformFinal(application, handle, "encrypt");
