package present

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/a-h/templ"

	"tenanted/app/talk"
)

const (
	// runTimeout ends an experiment. The slowest takes some seconds.
	runTimeout = 25 * time.Second
	// atOnce is how many experiments run at once: their times are shown.
	atOnce = 2
)

// Lab runs experiments. A *talk.Lab is one.
type Lab interface {
	Run(ctx context.Context, e talk.Experiment, on talk.Layers) (talk.Result, error)
}

// site is what the handlers share.
type site struct {
	lab    Lab
	log    *slog.Logger
	places chan struct{}
}

// New returns the handler of the slides, whose experiments run in lab. What cannot run is logged.
func New(lab Lab, log *slog.Logger) http.Handler {
	s := &site{lab: lab, log: log, places: make(chan struct{}, atOnce)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.deck)
	mux.HandleFunc("GET /notes", s.notes)
	mux.HandleFunc("GET /experiments/{name}", s.experiment)
	mux.HandleFunc("POST /experiments/{name}", s.run)
	mux.HandleFunc("GET /static/{name}", static)
	mux.HandleFunc("/", notFound)
	return headers(http.NewCrossOriginProtection().Handler(mux))
}

// headers are on every answer. Scripts and styles come from here only, and nothing is inline.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusNotFound, page("Not found", missing()))
}

// deck shows all slides. With ?plain it is the page without the script, to print or to read.
func (s *site) deck(w http.ResponseWriter, r *http.Request) {
	slides, err := slides()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	render(w, r, http.StatusOK, deck(slides, r.URL.Query().Has("plain")))
}

// notes shows the speaker's notes.
func (s *site) notes(w http.ResponseWriter, r *http.Request) {
	slides, err := slides()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	render(w, r, http.StatusOK, notesPage(slides))
}

// experiment shows one that has not run.
func (s *site) experiment(w http.ResponseWriter, r *http.Request) {
	e, ok := talk.Find(r.PathValue("name"))
	if !ok {
		notFound(w, r)
		return
	}
	render(w, r, http.StatusOK, page(e.Title, experimentPage(e, talk.AllLayers(), nil)))
}

// run runs an experiment, and shows its result: on its page or, for the script, alone.
func (s *site) run(w http.ResponseWriter, r *http.Request) {
	e, ok := talk.Find(r.PathValue("name"))
	if !ok {
		notFound(w, r)
		return
	}
	on := layersOf(r)
	ran, err := s.try(r.Context(), e, on)
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
		s.log.WarnContext(r.Context(), "an experiment could not run", "experiment", e.Name, "error", err)
	}
	if r.URL.Query().Has("fragment") {
		render(w, r, status, resultOf(ran, e.Switches))
		return
	}
	render(w, r, status, page(e.Title, experimentPage(e, on, &ran)))
}

// layersOf reads which layers the form leaves on.
func layersOf(r *http.Request) talk.Layers {
	on := func(name string) bool { return r.PostFormValue(name) != "" }
	return talk.Layers{Scope: on("scope"), Session: on("session"), Keys: on("keys"), RLS: on("rls")}
}

// run is a result, or why there is none.
type run struct {
	talk.Result
	failed string
}

// try runs an experiment when there is a place for it.
func (s *site) try(ctx context.Context, e talk.Experiment, on talk.Layers) (run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTimeout, fmt.Errorf("not done after %v", runTimeout))
	defer cancel()
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-ctx.Done():
		err := errors.New("too many experiments are under way")
		return run{failed: err.Error()}, err
	}
	result, err := s.lab.Run(ctx, e, on)
	if err != nil {
		return run{failed: err.Error()}, err
	}
	return run{Result: result}, nil
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.log.ErrorContext(r.Context(), "slides", "error", err)
	http.Error(w, "The slides cannot be shown.", http.StatusInternalServerError)
}

// render writes a page whole, or not at all.
func render(w http.ResponseWriter, r *http.Request, status int, content templ.Component) {
	var b bytes.Buffer
	if err := content.Render(r.Context(), &b); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an error means that the client has gone
}

//go:embed static
var staticFiles embed.FS

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".txt": "text/plain; charset=utf-8",
	".svg": "image/svg+xml",
}

// static serves one of the embedded files.
func static(w http.ResponseWriter, r *http.Request) {
	content, err := staticFiles.ReadFile(path.Join("static", r.PathValue("name")))
	if err != nil {
		notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(r.PathValue("name"))])
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(content)
}

// asset returns where a file is, with a part that changes when the file does.
func asset(name string) string {
	content, err := staticFiles.ReadFile(path.Join("static", name))
	if err != nil {
		panic(err) // a test asks for all of them
	}
	sum := sha256.Sum256(content)
	return "/static/" + name + "?v=" + hex.EncodeToString(sum[:6])
}
