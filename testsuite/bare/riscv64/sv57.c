#define SATP_MODE SATP_SV57
#include "sv.h"
