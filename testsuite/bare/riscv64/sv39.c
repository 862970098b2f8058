#define SATP_MODE SATP_SV39
#include "sv.h"
