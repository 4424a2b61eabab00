/* Reads a message with osip2, and what a call needs of it. */

#include <osipparser2/osip_message.h>
#include <osipparser2/osip_parser.h>
#include <stdlib.h>
#include <string.h>

static size_t length_of(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

static size_t length_of_value(const osip_generic_param_t *parameter)
{
	return parameter == NULL ? 0 : length_of(parameter->gvalue);
}

int prepare_osip(void)
{
	return parser_init();
}

/* The sum of what was read; 0 for what cannot be read. */
size_t read_with_osip(const char *bytes, size_t length)
{
	osip_message_t *message;
	size_t sum = 0;
	if (osip_message_init(&message) != 0)
		return 0;
	if (osip_message_parse(message, bytes, length) == 0) {
		osip_via_t *via = NULL;
		osip_contact_t *contact = NULL;
		osip_generic_param_t *branch = NULL, *from_tag = NULL, *to_tag = NULL;
		osip_message_get_via(message, 0, &via);
		osip_message_get_contact(message, 0, &contact);
		if (via != NULL)
			osip_via_param_get_byname(via, "branch", &branch);
		osip_from_get_tag(message->from, &from_tag);
		osip_to_get_tag(message->to, &to_tag);
		sum = length_of(message->sip_method) + length_of_value(branch) + length_of_value(from_tag) +
		      length_of_value(to_tag) + length_of(message->call_id->number) + strtoul(message->cseq->number, NULL, 10);
		/* It keeps a Call-ID in two pieces. */
		if (message->call_id->host != NULL)
			sum += 1 + length_of(message->call_id->host);
		if (contact != NULL && contact->url != NULL)
			sum += length_of(contact->url->username);
	}
	osip_message_free(message);
	return sum;
}
