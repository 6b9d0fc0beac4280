import { describe, expect, test } from "@jest/globals";
import * as constants from "../../src/cryptoki/constants/index.ts";
import { CKA, CKF, CKM, CKR, flagNames, nameOf } from "../../src/cryptoki/constants/index.ts";

describe("names of constants", () => {
  test.each(Object.entries(CKR))("CKR_%s is found by its value", (name, value) => {
    expect(nameOf("CKR", value)).toBe(`CKR_${name}`);
  });

  test.each(["CKA", "CKC", "CKD", "CKH", "CKK", "CKM", "CKN", "CKO", "CKS", "CKU"] as const)(
    "every %s value has a name that means the value",
    (group) => {
      const table: Readonly<Record<string, number>> = constants[group];
      for (const value of Object.values(table)) {
        const name = nameOf(group, value);
        expect(table[name.slice(group.length + 1)]).toBe(value);
      }
    },
  );

  test("a current name wins over an older one", () => {
    expect(nameOf("CKM", CKM.ECDSA_KEY_PAIR_GEN)).toBe("CKM_EC_KEY_PAIR_GEN");
    expect(nameOf("CKM", CKM.CAST5_CBC)).toBe("CKM_CAST128_CBC");
    expect(nameOf("CKA", CKA.ECDSA_PARAMS)).toBe("CKA_EC_PARAMS");
    expect(nameOf("CKK", 3)).toBe("CKK_EC");
  });

  test("a group within a prefix keeps the prefix", () => {
    expect(nameOf("CKG_MGF", 2)).toBe("CKG_MGF1_SHA256");
    expect(nameOf("CKG_GENERATOR", 2)).toBe("CKG_GENERATE_COUNTER");
  });

  test("a vendor's value and an unknown one say so", () => {
    expect(nameOf("CKR", 0x80000000)).toBe("CKR_VENDOR_DEFINED");
    expect(nameOf("CKR", 0x8000012c)).toBe("CKR_VENDOR_DEFINED|0x12c");
    expect(nameOf("CKR", 0x999)).toBe("CKR_0x999");
    expect(nameOf("CKU", 0x80000001)).toBe("CKU_0x80000001");
  });
});

describe("names of flags", () => {
  test("lowest first, for the structure that they belong to", () => {
    expect(flagNames("CKF_SESSION", CKF.SERIAL_SESSION | CKF.RW_SESSION)).toEqual([
      "CKF_RW_SESSION",
      "CKF_SERIAL_SESSION",
    ]);
    expect(flagNames("CKF_SLOT", 6)).toEqual(["CKF_REMOVABLE_DEVICE", "CKF_HW_SLOT"]);
    expect(flagNames("CKF_TOKEN", 0)).toEqual([]);
  });

  test("the highest bit and bits without a name", () => {
    expect(flagNames("CKF_MECHANISM", CKF.EXTENSION)).toEqual(["CKF_EXTENSION"]);
    expect(flagNames("CKF_SLOT", 0x81)).toEqual(["CKF_TOKEN_PRESENT", "CKF_0x80"]);
  });
});
