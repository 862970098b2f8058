#define SATP_MODE SATP_SV48
#include "sv.h"
