/** Tags of file control parameters (ISO/IEC 7816-4 section 7.4.3, table 10). */
export const CONTROL = {
  FCP: 0x62,
  FCI: 0x6f,
  DATA_BYTES: 0x80,
  ALL_BYTES: 0x81,
  DESCRIPTOR: 0x82,
  ID: 0x83,
  NAME: 0x84,
  PROPRIETARY: 0x85,
  SECURITY: 0x86,
  SHORT_ID: 0x88,
  LIFE_CYCLE: 0x8a,
} as const;

/** File descriptor bytes (section 7.4.5, table 12); those of keys are MyEID's. */
export const DESCRIPTOR = { TRANSPARENT: 0x01, RECORDS: 0x04, RSA_KEY: 0x11, EC_KEY: 0x22, DF: 0x38 } as const;
