/*
 * Signs with a PKCS#11 module in a loop, as one program of several at a card.
 *
 *   module-signer MODULE PIN ID PAUSE      ID: CKA_ID of an EC key, one byte, hexadecimal; PAUSE: milliseconds between two signatures
 *
 * Logs in once and prints "ready". After a first line on its standard input it signs until there is a second one, then prints
 * "signed COUNT failed COUNT LAST", where LAST is the last return value that was not CKR_OK. contention-main.ts does the same with
 * this project's library.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* As much of PKCS#11 as is needed, for machines without its header; section numbers are of PKCS#11 3.1. */
typedef unsigned long ulong;
struct attribute { ulong type; void *value; ulong length; };          /* CK_ATTRIBUTE, 3.4 */
struct mechanism { ulong mechanism; void *parameter; ulong length; }; /* CK_MECHANISM, 3.6 */

enum { CKF_SERIAL_SESSION = 4, CKU_USER = 1, CKO_PRIVATE_KEY = 3, CKA_CLASS = 0, CKA_ID = 0x102, CKM_ECDSA = 0x1041 };

static void *module;

static void *function(const char *name)
{
	void *found = dlsym(module, name);

	if (!found) {
		printf("no %s: %s\n", name, dlerror());
		exit(1);
	}
	return found;
}

static void check(const char *name, ulong rv)
{
	if (rv == 0)
		return;
	printf("%s 0x%lx\n", name, rv);
	exit(1);
}

/* Whether a line comes within some milliseconds. */
static int line_comes(int milliseconds)
{
	struct pollfd input = { 0, POLLIN, 0 };

	return poll(&input, 1, milliseconds) > 0;
}

int main(int argc, char **argv)
{
	char line[16];
	unsigned char id, signature[256], hash[32] = { 1 };
	ulong class = CKO_PRIVATE_KEY, slots[16], count = 16, session, key, found = 0, rv, last = 0, signed_ = 0, failed = 0;
	struct attribute template[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	struct mechanism ecdsa = { CKM_ECDSA, NULL, 0 };
	size_t pin_length = 0;

	if (argc != 5 || !(module = dlopen(argv[1], RTLD_NOW))) {
		printf("usage: module-signer MODULE PIN ID PAUSE\n");
		return 2;
	}
	id = (unsigned char)strtoul(argv[3], NULL, 16);
	while (argv[2][pin_length])
		pin_length++;
	check("C_Initialize", ((ulong(*)(void *))function("C_Initialize"))(NULL));
	check("C_GetSlotList", ((ulong(*)(unsigned char, ulong *, ulong *))function("C_GetSlotList"))(1, slots, &count));
	if (count == 0) {
		printf("no slot\n");
		return 1;
	}
	check("C_OpenSession", ((ulong(*)(ulong, ulong, void *, void *, ulong *))function("C_OpenSession"))(
				       slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session));
	check("C_Login", ((ulong(*)(ulong, ulong, char *, ulong))function("C_Login"))(session, CKU_USER, argv[2], pin_length));
	check("C_FindObjectsInit",
	      ((ulong(*)(ulong, struct attribute *, ulong))function("C_FindObjectsInit"))(session, template, 2));
	check("C_FindObjects",
	      ((ulong(*)(ulong, ulong *, ulong, ulong *))function("C_FindObjects"))(session, &key, 1, &found));
	check("C_FindObjectsFinal", ((ulong(*)(ulong))function("C_FindObjectsFinal"))(session));
	if (found == 0) {
		printf("no key\n");
		return 1;
	}
	ulong (*sign_init)(ulong, struct mechanism *, ulong) = function("C_SignInit");
	ulong (*sign)(ulong, unsigned char *, ulong, unsigned char *, ulong *) = function("C_Sign");

	setvbuf(stdin, NULL, _IONBF, 0);
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		return 1;
	while (!line_comes(atoi(argv[4]))) {
		ulong length = sizeof signature;

		rv = sign_init(session, &ecdsa, key);
		if (rv == 0)
			rv = sign(session, hash, sizeof hash, signature, &length);
		if (rv == 0)
			signed_++;
		else {
			failed++;
			last = rv;
		}
	}
	printf("signed %lu failed %lu 0x%lx\n", signed_, failed, last);
	fflush(stdout);
	/* What a module does to the card when it leaves is not what is measured. */
	_Exit(0);
}
