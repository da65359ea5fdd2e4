#include "textflag.h"

// func hook()
TEXT ·hook(SB), NOSPLIT, $0-0
	MOVD $clock_gettime<>(SB), R0
	MOVD R0, runtime·vdsoClockgettimeSym(SB)
	RET

// clock_gettime is Linux's, but for what is added to the time of day. It is called as a C function is: with the clock
// in R0, and in R1 where to put its seconds and nanoseconds.
TEXT clock_gettime<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD R0, R3
	MOVD $113, R8 // SYS_clock_gettime
	SVC
	CBNZ R3, done // CLOCK_REALTIME is 0; what only grows stays as it is
	MOVD ·jumped(SB), R4
	MOVD (R4), R4
	MOVD (R1), R5
	ADD  R4, R5
	MOVD R5, (R1)
done:
	RET
