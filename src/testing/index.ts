export { MemoryReaders } from "../pcsc/index.ts";
