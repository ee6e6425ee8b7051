package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gin-gonic/gin"

	"tenanted/models"
)

const (
	// sessionLasts is how long a browser stays signed in.
	sessionLasts = 7 * 24 * time.Hour
	// maxSessionCookie is more than a cookie of ours has, in bytes.
	maxSessionCookie = 100
)

// sessionKeeper keeps sessions of somebody of kind T by the hashes of their tokens. It may be used by several goroutines at once.
type sessionKeeper[T any] interface {
	// Find returns whose a session is and until when, or models.ErrNotFound.
	Find(ctx context.Context, hash []byte) (who T, expires time.Time, err error)
	// Save keeps a new session.
	Save(ctx context.Context, hash []byte, who T, expires time.Time) error
	// Delete ends a session, if there is one.
	Delete(ctx context.Context, hash []byte) error
}

// userSessions are those of a tenant's users, among the rows of the context's tenant, so that one of another tenant is not found. A
// row says whose the session is; the rest is read from the user's row each time, so that a new role or a deactivation counts at once.
type userSessions struct{ models models.Models }

// Find implements sessionKeeper.
func (s userSessions) Find(ctx context.Context, hash []byte) (models.Actor, time.Time, error) {
	return s.models.Sessions(ctx).Find(hash)
}

// Save implements sessionKeeper.
func (s userSessions) Save(ctx context.Context, hash []byte, who models.Actor, expires time.Time) error {
	return s.models.Sessions(ctx).SaveAs(hash, models.SignInAs{Operator: who.Operator, UserID: who.UserID, Reason: who.Reason}, expires)
}

// Delete implements sessionKeeper.
func (s userSessions) Delete(ctx context.Context, hash []byte) error {
	return s.models.Sessions(ctx).Delete(hash)
}

// sessions know browsers by cookies of one name. Over TLS that begins with __Host-, so that no other host, of another tenant below
// the same domain, can have set it; without TLS, as on one's own machine, browsers refuse such a name.
type sessions[T any] struct{ plain, secure *scs.SessionManager }

func newSessions[T any](keeper sessionKeeper[T], cookie string) sessions[T] {
	manager := func(name string, secure bool) *scs.SessionManager {
		s := scs.New()
		s.Store, s.Codec, s.HashTokenInStore, s.Lifetime = sessionStore[T]{keeper}, sessionCodec[T]{}, true, sessionLasts
		s.Cookie.Name, s.Cookie.Secure, s.Cookie.HttpOnly = name, secure, true
		s.Cookie.SameSite = http.SameSiteLaxMode // and no Domain: the cookie is its host's alone
		return s
	}
	return sessions[T]{plain: manager(cookie, false), secure: manager("__Host-"+cookie, true)}
}

// of returns the manager for a request.
func (s sessions[T]) of(r *http.Request) *scs.SessionManager {
	if overTLS(r) {
		return s.secure
	}
	return s.plain
}

// overTLS reports whether the browser's connection is encrypted, to us or to a proxy in front. A client that pretends so only
// gets a cookie that it will not send.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// load puts the request's session into its context: a new one if it has none.
func (s sessions[T]) load(c *gin.Context) (*scs.SessionManager, error) {
	manager, token := s.of(c.Request), ""
	if cookie, err := c.Request.Cookie(manager.Cookie.Name); err == nil && len(cookie.Value) <= maxSessionCookie {
		token = cookie.Value
	}
	ctx, err := manager.Load(c.Request.Context(), token)
	if err == nil {
		c.Request = c.Request.WithContext(ctx)
	}
	return manager, err
}

// who returns whose session the request has. ok is false for nobody. Without a cookie nothing is looked up.
func (s sessions[T]) who(c *gin.Context) (who T, ok bool, err error) {
	if _, err := c.Request.Cookie(s.of(c.Request).Cookie.Name); err != nil {
		return who, false, nil
	}
	manager, err := s.load(c)
	if err == nil {
		who, ok = manager.Get(c.Request.Context(), sessionValue).(T)
	}
	return who, ok, err
}

// begin gives the browser a session of a new token, for that long: one that somebody else may have given it is not used.
func (s sessions[T]) begin(c *gin.Context, who T, lasts time.Duration) error {
	manager, err := s.load(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if err := manager.RenewToken(ctx); err != nil {
		return err
	}
	manager.SetDeadline(ctx, time.Now().Add(lasts))
	manager.Put(ctx, sessionValue, who)
	token, expiry, err := manager.Commit(ctx)
	if err == nil {
		manager.WriteSessionCookie(ctx, c.Writer, token, expiry)
	}
	return err
}

// end ends the browser's session.
func (s sessions[T]) end(c *gin.Context) error {
	manager, err := s.load(c)
	if err == nil {
		err = manager.Destroy(c.Request.Context())
	}
	if err == nil {
		manager.WriteSessionCookie(c.Request.Context(), c.Writer, "", time.Time{})
	}
	return err
}

// sessionValue is what a session has: whose it is.
const sessionValue = "who"

// sessionStore is a sessionKeeper as the library knows one, with the tokens hashed.
type sessionStore[T any] struct{ keeper sessionKeeper[T] }

// sessionData is what the library passes through.
type sessionData[T any] struct {
	Deadline time.Time
	Who      T
}

// FindCtx implements scs.CtxStore.
func (s sessionStore[T]) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	hash, err := tokenHash(token)
	if err != nil {
		return nil, false, err
	}
	who, expires, err := s.keeper.Find(ctx, hash)
	if errors.Is(err, models.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	data, err := json.Marshal(sessionData[T]{expires, who})
	return data, true, err
}

// CommitCtx implements scs.CtxStore.
func (s sessionStore[T]) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	hash, err := tokenHash(token)
	if err != nil {
		return err
	}
	var data sessionData[T]
	if err := json.Unmarshal(b, &data); err != nil {
		return err
	}
	return s.keeper.Save(ctx, hash, data.Who, expiry)
}

// DeleteCtx implements scs.CtxStore.
func (s sessionStore[T]) DeleteCtx(ctx context.Context, token string) error {
	hash, err := tokenHash(token)
	if err != nil {
		return err
	}
	return s.keeper.Delete(ctx, hash)
}

// tokenHash returns the bytes of a hash as the library writes it.
func tokenHash(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// errNoContext is what the methods without a context return, which the library does not call: without one there is no tenant.
var errNoContext = errors.New("a session needs a context with its tenant")

// Find implements scs.Store.
func (sessionStore[T]) Find(string) ([]byte, bool, error) { return nil, false, errNoContext }

// Commit implements scs.Store.
func (sessionStore[T]) Commit(string, []byte, time.Time) error { return errNoContext }

// Delete implements scs.Store.
func (sessionStore[T]) Delete(string) error { return errNoContext }

// sessionCodec writes what a session has.
type sessionCodec[T any] struct{}

// Encode implements scs.Codec.
func (sessionCodec[T]) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	who, ok := values[sessionValue].(T)
	if !ok {
		return nil, errors.New("a session of nobody is not kept")
	}
	return json.Marshal(sessionData[T]{deadline, who})
}

// Decode implements scs.Codec.
func (sessionCodec[T]) Decode(b []byte) (time.Time, map[string]any, error) {
	var data sessionData[T]
	err := json.Unmarshal(b, &data)
	return data.Deadline, map[string]any{sessionValue: data.Who}, err
}

// identify puts who is signed in into the request's context: by a token, if the request has one, or else by a session. A request
// with neither costs nothing; else it is one statement. A token that is nobody's is refused, for its program thinks it is somebody.
func (s *site) identify(c *gin.Context) {
	if onBareDomain(c) {
		s.identifyOperator(c)
		return
	}
	actor, err := s.actor(c)
	switch {
	case err != nil:
		s.fail(c, err)
	case actor != nil:
		if actor.Operator != "" {
			actAsOperator(c, actor.Operator)
		}
		c.Request = c.Request.WithContext(models.WithActor(c.Request.Context(), *actor))
	}
}

// actor returns who sent the request, or nil.
func (s *site) actor(c *gin.Context) (*models.Actor, error) {
	// Another scheme than Bearer is a proxy's in front.
	if scheme, secret, _ := strings.Cut(c.GetHeader("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		actor, err := s.Models.APITokens(c.Request.Context()).Find(strings.TrimSpace(secret))
		if errors.Is(err, models.ErrNotFound) {
			return nil, refuse(http.StatusUnauthorized, "This API token is not one of this account's, or was revoked.")
		}
		return &actor, err
	}
	actor, ok, err := s.sessions.who(c)
	if ok && actor.Operator != "" { // the one session that takes a second statement
		err = s.stillOperator(c, actor.Operator)
	}
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, nil
	case err != nil || !ok:
		return nil, err
	}
	return &actor, nil
}

// requireSignIn refuses requests of nobody, where reading needs somebody too.
func (s *site) requireSignIn(c *gin.Context) {
	if onBareDomain(c) {
		s.requireOperator(c)
		return
	}
	if s.SignInRequired && signedIn(c) == nil {
		s.fail(c, models.ErrSignInRequired)
	}
}

// signedIn returns who sent the request, or nil.
func signedIn(c *gin.Context) *models.Actor {
	if actor, ok := models.ActorOf(c.Request.Context()); ok {
		return &actor
	}
	return nil
}
