/*
 * Encrypts with AES-256-GCM in parts of 64 KiB with a PKCS#11 module, in this process: a key of a session in the first token.
 *
 *   gcm MODULE MEBIBYTES     the PIN is in $BENCH_PIN
 *
 * Prints the milliseconds of the processor that the parts take.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <vector>

/* As much of PKCS#11 as is needed, for machines without its header; section numbers are of PKCS#11 3.1. */
typedef unsigned long Ulong;
struct Attribute { Ulong type; void *value; Ulong length; };          /* CK_ATTRIBUTE, 3.4 */
struct Mechanism { Ulong mechanism; void *parameter; Ulong length; }; /* CK_MECHANISM, 3.6 */
struct Gcm { void *iv; Ulong ivLength, ivBits; void *additional; Ulong additionalLength, tagBits; }; /* CK_GCM_PARAMS, 6.13.3 */

enum : Ulong { CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1, CKO_SECRET_KEY = 4, CKK_AES = 0x1f,
  CKA_CLASS = 0, CKA_VALUE = 0x11, CKA_KEY_TYPE = 0x100, CKA_ENCRYPT = 0x104, CKM_AES_GCM = 0x1087 };

static void *module;

template <typename... Parameters> static void call(const char *name, Parameters... parameters) {
  auto function = reinterpret_cast<Ulong (*)(Parameters...)>(dlsym(module, name));
  Ulong rv = function ? function(parameters...) : 0x54;
  if (rv != 0) { std::printf("refused: %s, 0x%lx\n", name, rv); std::exit(1); }
}

int main(int argc, char **argv) {
  module = argc > 2 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (!module) { std::printf("refused: no module\n"); return 1; }
  Ulong slots[64], count = 64, session, key;
  call("C_Initialize", static_cast<void *>(nullptr));
  call("C_GetSlotList", static_cast<unsigned char>(1), static_cast<Ulong *>(slots), &count);
  call("C_OpenSession", slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, static_cast<void *>(nullptr), static_cast<void *>(nullptr), &session);
  const char *pin = std::getenv("BENCH_PIN");
  call("C_Login", session, CKU_USER, pin, static_cast<Ulong>(std::strlen(pin)));
  Ulong keyClass = CKO_SECRET_KEY, keyType = CKK_AES;
  unsigned char value[32] = {1}, yes = 1, iv[12] = {2};
  Attribute wanted[] = {{CKA_CLASS, &keyClass, sizeof keyClass}, {CKA_KEY_TYPE, &keyType, sizeof keyType},
    {CKA_VALUE, value, sizeof value}, {CKA_ENCRYPT, &yes, 1}};
  call("C_CreateObject", session, static_cast<Attribute *>(wanted), 4UL, &key);
  Gcm parameter = {iv, sizeof iv, 8 * sizeof iv, nullptr, 0, 128};
  Mechanism mechanism = {CKM_AES_GCM, &parameter, sizeof parameter};
  call("C_EncryptInit", session, &mechanism, key);
  std::vector<unsigned char> part(65536), output(part.size() + 64);
  std::clock_t start = std::clock();
  for (long left = 16 * std::atol(argv[2]); left > 0; left--) {
    Ulong length = output.size();
    call("C_EncryptUpdate", session, part.data(), static_cast<Ulong>(part.size()), output.data(), &length);
  }
  std::printf("%.2f\n", 1000.0 * (std::clock() - start) / CLOCKS_PER_SEC);
}
