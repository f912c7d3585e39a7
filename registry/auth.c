/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/auth.h"

/*
 * Rules for the token server that a registry names (its realm):
 *
 *  1. https, or http when the registry itself speaks http; no user in the URL (url.c).
 *  2. The one that was named first stays: a later answer cannot name another host.
 *  3. On another host than the registry's, the guard judges its address.
 *  4. Credentials do not follow it to another origin (send.c), a refresh token to no redirect.
 *
 * Tokens are kept per scope, in memory only, and renewed 30 seconds before they end.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "registry/answer.h"
#include "registry/challenge.h"
#include "registry/http.h"

#define TOKEN_ANSWER_MAX  65536
#define TOKEN_MAX	  32768
#define TOKEN_SECONDS_MIN 60
#define TOKEN_SECONDS_MAX 86400
#define TOKEN_MARGIN_NS	  (30 * 1000000000ull)
#define TOKENS_MAX	  64

enum scheme {
	SCHEME_NONE, /* not asked yet */
	SCHEME_BASIC,
	SCHEME_BEARER,
};

struct token {
	char *scope; /* the caller's */
	char *wider; /* what the registry asked for beyond that, or NULL */
	char *value; /* NULL: none now */
	uint64_t ends_at;
};

struct auth {
	struct auth_options options;
	pthread_mutex_t mutex; /* guards what follows, and makes fetching single */
	struct credential credential;
	bool looked_up;
	enum scheme scheme;
	char *realm, *service;
	struct url realm_url;
	bool realm_is_foreign;
	struct token tokens[TOKENS_MAX];
	size_t n_tokens;
};

struct auth *auth_new(const struct auth_options *options)
{
	struct auth *auth = xcalloc(1, sizeof(*auth));

	auth->options = *options;
	pthread_mutex_init(&auth->mutex, NULL);
	return auth;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	credential_release(&auth->credential);
	for (size_t i = 0; i < auth->n_tokens; i++) {
		free(auth->tokens[i].scope);
		free(auth->tokens[i].wider);
		free(auth->tokens[i].value);
	}
	free(auth->realm);
	free(auth->service);
	url_release(&auth->realm_url);
	pthread_mutex_destroy(&auth->mutex);
	free(auth);
}

static int look_up(struct auth *auth, struct err *err)
{
	if (auth->looked_up)
		return 0;
	if (creds_find(&auth->options.creds, auth->options.host, auth->options.repository,
		       &auth->credential, err) < 0)
		return -1;
	auth->looked_up = true;
	return 0;
}

static char *basic_value(const struct credential *credential)
{
	cleanup_free char *pair = xasprintf("%s:%s", credential->username, credential->password);
	cleanup_free char *encoded = base64_encode(pair, strlen(pair));

	return xasprintf("Basic %s", encoded);
}

static struct token *find_token(struct auth *auth, const char *scope)
{
	for (size_t i = 0; i < auth->n_tokens; i++)
		if (strcmp(auth->tokens[i].scope, scope) == 0)
			return &auth->tokens[i];
	if (auth->n_tokens == TOKENS_MAX)
		return NULL;
	auth->tokens[auth->n_tokens] = (struct token){ .scope = xstrdup(scope) };
	return &auth->tokens[auth->n_tokens++];
}

/* --- the token server -------------------------------------------------------- */

static void add_escaped(struct buf *buf, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_addch(buf, (char)c);
		else
			buf_addf(buf, "%%%02X", c);
	}
}

static void add_field(struct buf *buf, const char *name, const char *value)
{
	if (buf->len > 0)
		buf_addch(buf, '&');
	buf_addstr(buf, name);
	buf_addch(buf, '=');
	add_escaped(buf, value);
}

/* Each scope of the list once. */
static void add_scopes(struct buf *buf, const struct token *token)
{
	cleanup_strv struct strv scopes = STRV_INIT;
	const char *lists[] = { token->scope, token->wider ? token->wider : "" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const char *p = lists[i];

		while (*(p += strspn(p, " ")) != '\0') {
			size_t len = strcspn(p, " ");
			bool known = false;

			for (size_t j = 0; j < scopes.n; j++)
				known |= strlen(scopes.v[j]) == len &&
					 strncmp(scopes.v[j], p, len) == 0;
			if (!known)
				strv_addn(&scopes, p, len);
			p += len;
		}
	}
	for (size_t i = 0; i < scopes.n; i++)
		add_field(buf, "scope", scopes.v[i]);
}

static bool token_ok(const char *token)
{
	size_t len = strlen(token);

	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] == 0x7f)
			return false;
	return len > 0 && len <= TOKEN_MAX;
}

static int take_token(struct token *token, const struct http_response *response, struct err *err)
{
	cleanup_json json_t *root = NULL;
	const char *value, *access;
	uint64_t seconds;

	if (js_parse("its answer", response->body.data, response->body.len, &root, err) < 0)
		return -1;
	if (js_string(root, "token", "", &value, err) < 0 ||
	    js_string(root, "access_token", "", &access, err) < 0)
		return -1;
	if (!*value)
		value = access;
	if (!token_ok(value))
		return err_set(err, ERR_FAILED, "it gave no usable token");
	if (js_uint(root, "expires_in", TOKEN_SECONDS_MIN, &seconds, err) < 0) {
		err_clear(err);
		seconds = TOKEN_SECONDS_MIN;
	}
	if (seconds < TOKEN_SECONDS_MIN)
		seconds = TOKEN_SECONDS_MIN;
	if (seconds > TOKEN_SECONDS_MAX)
		seconds = TOKEN_SECONDS_MAX;
	free(token->value);
	token->value = xstrdup(value);
	token->ends_at = clock_monotonic_ns() + seconds * 1000000000ull;
	return 0;
}

static void set_request(struct auth *auth, struct http_request *request)
{
	request->reach = auth->options.reach;
	request->foreign = auth->realm_is_foreign;
	request->insecure = auth->options.insecure;
	request->body_max = TOKEN_ANSWER_MAX;
}

/* GET realm?service=...&scope=..., with the password if there is one. */
static int get_token(struct auth *auth, const struct token *token, struct http_response *response,
		     struct err *err)
{
	struct http_request request = HTTP_REQUEST_INIT;
	cleanup_free char *basic = NULL, *url = NULL;
	cleanup_buf struct buf query;

	buf_init(&query, 2 * TOKEN_MAX);
	if (auth->service)
		add_field(&query, "service", auth->service);
	add_scopes(&query, token);
	if (auth->credential.username) {
		add_field(&query, "account", auth->credential.username);
		basic = basic_value(&auth->credential);
	}
	if (query.overflow)
		return err_set(err, ERR_LIMIT, "the scopes asked for are too long");
	url = xasprintf("%s%c%s", auth->realm_url.text,
			strchr(auth->realm_url.text, '?') ? '&' : '?', query.data);
	set_request(auth, &request);
	request.method = "GET";
	request.url = url;
	request.authorization = basic;
	return http_send(auth->options.http, &request, response, err);
}

/* The OAuth2 form, for a refresh token. */
static int post_token(struct auth *auth, const struct token *token, struct http_response *response,
		      struct err *err)
{
	static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
					       NULL };
	struct http_request request = HTTP_REQUEST_INIT;
	cleanup_free char *scopes = NULL;
	cleanup_buf struct buf form;

	scopes = token->wider ? xasprintf("%s %s", token->scope, token->wider)
			      : xstrdup(token->scope);
	buf_init(&form, 4 * TOKEN_MAX);
	add_field(&form, "grant_type", "refresh_token");
	add_field(&form, "service", auth->service ? auth->service : "");
	add_field(&form, "client_id", "cbuild");
	add_field(&form, "scope", scopes);
	add_field(&form, "refresh_token", auth->credential.identity_token);
	if (form.overflow)
		return err_set(err, ERR_LIMIT, "the refresh token is too long");
	set_request(auth, &request);
	request.method = "POST";
	request.url = auth->realm_url.text;
	request.headers = headers;
	request.body = form.data;
	request.body_size = form.len;
	request.stay = true;
	return http_send(auth->options.http, &request, response, err);
}

static int fetch_token(struct auth *auth, struct token *token, struct err *err)
{
	cleanup_response struct http_response response;
	int rc;

	http_response_init(&response);
	rc = auth->credential.identity_token ? post_token(auth, token, &response, err)
					     : get_token(auth, token, &response, err);
	if (rc == 0 && response.status != 200) {
		answer_refuse(auth->credential.identity_token ? "POST" : "GET", &response, err);
		rc = -1;
	}
	if (rc == 0)
		rc = take_token(token, &response, err);
	return rc < 0 ? err_wrap(err, "token server of %s", auth->options.host) : 0;
}

/* --- what the registry asks for ---------------------------------------------- */

int auth_header(struct auth *auth, const char *scope, char **ret_header, struct err *err)
{
	struct token *token;
	int rc = 0;

	*ret_header = NULL;
	pthread_mutex_lock(&auth->mutex);
	if (auth->scheme == SCHEME_BASIC) {
		*ret_header = basic_value(&auth->credential);
	} else if (auth->scheme == SCHEME_BEARER && auth->credential.registry_token) {
		*ret_header = xasprintf("Bearer %s", auth->credential.registry_token);
	} else if (auth->scheme == SCHEME_BEARER) {
		token = find_token(auth, scope);
		if (!token)
			rc = err_set(err, ERR_LIMIT, "more than %d scopes", TOKENS_MAX);
		else if (!token->value || clock_monotonic_ns() + TOKEN_MARGIN_NS > token->ends_at)
			rc = fetch_token(auth, token, err);
		if (rc == 0)
			*ret_header = xasprintf("Bearer %s", token->value);
	}
	pthread_mutex_unlock(&auth->mutex);
	return rc;
}

static int set_realm(struct auth *auth, const struct url *registry,
		     const struct challenge *challenge, struct err *err)
{
	cleanup_url struct url realm = { 0 };

	if (url_parse(challenge->realm, &realm, err) < 0)
		return err_wrap(err, "the token server that %s names", auth->options.host);
	if (strcmp(realm.scheme, "http") == 0 &&
	    (strcmp(registry->scheme, "https") == 0 ||
	     (!auth->options.insecure && !url_host_is_loopback(realm.host))))
		return err_set(err, ERR_DENIED, "%s names a token server without TLS: %s",
			       auth->options.host, realm.host);
	if (auth->realm && strcmp(auth->realm_url.host, realm.host) != 0)
		return err_set(err, ERR_DENIED, "%s names another token server than before: %s",
			       auth->options.host, realm.host);
	auth->realm_is_foreign = strcmp(realm.host, registry->host) != 0;
	free(auth->realm);
	free(auth->service);
	url_release(&auth->realm_url);
	auth->realm = xstrdup(challenge->realm);
	auth->service = challenge->service ? xstrdup(challenge->service) : NULL;
	auth->realm_url = realm;
	realm = (struct url){ 0 };
	return 0;
}

static int learn_bearer(struct auth *auth, const struct url *registry,
			const struct challenge *challenge, const char *used, const char *scope,
			bool *ret_again, struct err *err)
{
	struct token *token = find_token(auth, scope);
	bool wider, fresh;

	if (!token)
		return err_set(err, ERR_LIMIT, "more than %d scopes", TOKENS_MAX);
	if (set_realm(auth, registry, challenge, err) < 0)
		return -1;
	/* Another thread may have renewed it since. */
	fresh = token->value && used && strcmp(used + strlen("Bearer "), token->value) != 0;
	wider = challenge->scope && *challenge->scope &&
		(!token->wider || strcmp(token->wider, challenge->scope) != 0) &&
		strcmp(challenge->scope, token->scope) != 0;
	if (wider) {
		free(token->wider);
		token->wider = xstrdup(challenge->scope);
	}
	if (!fresh || wider) {
		free(token->value);
		token->value = NULL;
	}
	auth->scheme = SCHEME_BEARER;
	*ret_again = !used || !auth->credential.registry_token;
	return 0;
}

static int learn(struct auth *auth, const struct http_response *response,
		 const struct challenges *challenges, const char *used, const char *scope,
		 bool *ret_again, struct err *err)
{
	const struct challenge *bearer = challenges_find(challenges, "bearer");
	const struct challenge *basic = challenges_find(challenges, "basic");

	if (look_up(auth, err) < 0)
		return -1;
	if (bearer && bearer->realm)
		return learn_bearer(auth, &response->url, bearer, used, scope, ret_again, err);
	if (basic && auth->credential.username && !used) {
		auth->scheme = SCHEME_BASIC;
		*ret_again = true;
	}
	return 0;
}

static void parse_all(const struct http_response *response, struct challenges *challenges)
{
	for (size_t i = 0; i < response->headers.n; i++)
		if (strncasecmp(response->headers.v[i], "www-authenticate:", 17) == 0)
			challenges_parse(response->headers.v[i] + 17, challenges);
}

int auth_learn(struct auth *auth, const struct http_response *response, const char *used,
	       const char *scope, bool *ret_again, struct err *err)
{
	cleanup_challenges struct challenges challenges = { 0 };
	int rc;

	*ret_again = false;
	parse_all(response, &challenges);
	pthread_mutex_lock(&auth->mutex);
	rc = learn(auth, response, &challenges, used, scope, ret_again, err);
	pthread_mutex_unlock(&auth->mutex);
	return rc;
}

bool auth_is_asked(const struct http_response *response)
{
	return http_header(response, "www-authenticate") != NULL;
}

char *auth_identity(struct auth *auth)
{
	const struct credential *credential = &auth->credential;
	char *text = NULL;

	pthread_mutex_lock(&auth->mutex);
	if (credential->source && credential->username)
		text = xasprintf("user %s from %s", credential->username, credential->source);
	else if (credential->source)
		text = xasprintf("token from %s", credential->source);
	pthread_mutex_unlock(&auth->mutex);
	return text;
}
