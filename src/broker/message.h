/* Kept messages belong to the store's room since they are what it keeps. */
#ifndef NJ_BROKER_MESSAGE_H
#define NJ_BROKER_MESSAGE_H

#include "store/message.h"

#endif
