import { X509Certificate } from "node:crypto";
import { expect, test } from "@jest/globals";
import { testCard } from "../virtual/keys.ts";
import { id, opened } from "./opened.ts";

test("it is written as OpenSSL writes it", async () => {
  await using card = await opened(await testCard());
  const certificate = await card.crypto.certStorage.get({ id: id(1) });
  const node = new X509Certificate(await certificate.der()).toString();
  expect(await certificate.pem()).toBe(node);
});
