import { expect, test } from "@jest/globals";
import { encodeSshPublicKey, parsePublicKey } from "../../src/crypto/index.ts";

/** Made by `ssh-keygen -t ecdsa -b 384` and `-t rsa -b 1024`, the first line by `ssh-keygen -e -m PKCS8` (OpenSSH 9.2). */
test.each([
  [
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE6B8NshbKmhe/5uVD1qvCA+TIipF+P176QC28k88M95GVS0u+C3QdTpMeTYZNRogY65NjmnEZLqIJIVwVRh1s8ppH/Yt5o7gC2GUMuNXz5aqfwiFBfQv/DjKoXrEnUKFt",
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBOgfDbIWypoXv+blQ9arwgPkyIqRfj9e+kAtvJPPDPeRlUtLvgt0HU6THk2GTUaIGOuTY5pxGS6iCSFcFUYdbPKaR/2LeaO4AthlDLjV8+Wqn8IhQX0L/w4yqF6xJ1ChbQ==",
  ],
  [
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDN0DlDPmoGIdCe4j1UyKzO0whji36WnHhcwQZwT63s+ZowUAoT38Xe2EpcsI3px95u7GwCqi5bUG9BydtfjztK9o3oph7I2Bx4fg0L2DGCBWo7o3SlRK9J7MEWfWLUUcX8quiLqOEnOatmF1oRkv8O3nlWjOTpBYqLmoUvPDW44wIDAQAB",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDN0DlDPmoGIdCe4j1UyKzO0whji36WnHhcwQZwT63s+ZowUAoT38Xe2EpcsI3px95u7GwCqi5bUG9BydtfjztK9o3oph7I2Bx4fg0L2DGCBWo7o3SlRK9J7MEWfWLUUcX8quiLqOEnOatmF1oRkv8O3nlWjOTpBYqLmoUvPDW44w==",
  ],
])("a public key is written as ssh-keygen writes it", (spki, line) => {
  expect(encodeSshPublicKey(parsePublicKey(Buffer.from(spki, "base64")))).toBe(line);
});
