/** The rows for a CAC card: libcacard's, which belongs to none of the drivers. */
import { verify, X509Certificate } from "node:crypto";
import { type LibcacardCard, startLibcacard } from "../test/interop/cac/libcacard.ts";
import type { Pcscd as Daemon } from "../test/interop/rig/pcscd.ts";
import { requireLibrary } from "../test/interop/rig/require.ts";
import { withCard } from "./count.ts";
import { countedRun } from "./counted-run.ts";
import { debianVersion } from "./drivers.ts";
import {
  countNamedRows,
  moduleDriver,
  type NamedDriver,
  type NamedRow,
  type NamedWatcher,
  type NamedWork,
  ourDriver,
} from "./named-work.ts";
import type { CountedRow, CountedTable } from "./report.ts";

/** The first key of the card, under the CKA_ID that OpenSC and this library give it. */
const KEY = "0001";
const DATA = Buffer.from("data to be signed");
const CKM_SHA256_RSA_PKCS = "0x40";
/** Enough further signatures to see that each costs the same. */
const TIMES = 4;

function rowsFor({ certificates: [certificate = new Uint8Array()] }: LibcacardCard): readonly NamedRow[] {
  const list: NamedWork = { name: "list", args: ["list"], isRight: (detail) => detail.trim() !== "" };
  const objects: NamedWork = {
    name: "objects",
    args: ["objects"],
    isRight: (detail) => ["0001", "0002", "0003"].every((id) => new RegExp(`(^| )1:${id}:`, "u").test(detail)),
  };
  const read: NamedWork = {
    name: "read",
    args: ["read", KEY],
    isRight: (detail) => detail === Buffer.from(certificate).toString("hex"),
  };
  const sign: NamedWork = {
    name: "sign",
    args: ["sign", KEY, CKM_SHA256_RSA_PKCS, DATA.toString("hex"), String(TIMES)],
    isRight: (detail) => verify("sha256", DATA, new X509Certificate(certificate).publicKey, Buffer.from(detail, "hex")),
  };
  return [
    { title: "list", work: list, counted: "first", budget: 10 },
    { title: "objects", work: objects, counted: "first", budget: 22 },
    { title: "sign, RSA-2048", work: sign, counted: "first", budget: 19 },
    { title: "next, RSA-2048", work: sign, counted: "next", budget: 3 },
    { title: "read", work: read, counted: "first", budget: 20 },
  ];
}

/** This library, and every PKCS #11 module that Debian has for these cards. @param walk The compiled walk.cpp. */
export async function cacDrivers(walk: string, version: string): Promise<readonly NamedDriver[]> {
  const modules = [
    { name: "OpenSC", debianPackage: "opensc-pkcs11", module: "pkcs11/opensc-pkcs11.so" },
    { name: "coolkey", debianPackage: "coolkey", module: "pkcs11/libcoolkeypk11.so" },
    { name: "cackey", debianPackage: "cackey", module: "pkcs11/libcackey.so" },
  ];
  const others = modules.map(async ({ name, debianPackage, module }) =>
    moduleDriver(name, await debianVersion(debianPackage), walk, requireLibrary(module, debianPackage)),
  );
  return [ourDriver(version), ...(await Promise.all(others))];
}

/** Counts every row for every driver, each piece of work in a fresh process on a card just reset. */
export async function countCacRows(
  daemon: Daemon,
  drivers: readonly NamedDriver[],
  watch: NamedWatcher,
): Promise<CountedTable> {
  await using card = await startLibcacard();
  let rows: readonly CountedRow[] = [];
  await withCard(daemon, card, async (counting) => {
    rows = await countNamedRows(rowsFor(card), drivers, async (driver, work) => {
      card.reset();
      const run = await countedRun(counting, driver.launch(work.args), daemon.env);
      watch(driver, work.name, run);
      return run;
    });
  });
  const lengths = [...new Set(card.certificates.map(({ length }) => length))].sort((a, b) => a - b).join(", ");
  return { title: `CAC card (libcacard): three RSA-2048 keys, certificates of ${lengths} bytes, T=0`, rows };
}
