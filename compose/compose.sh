# For the scripts beside it: whichever docker compose is here; COMPOSE names another.
compose() {
    if [[ -n ${COMPOSE:-} ]]; then
        $COMPOSE --file compose.yaml "$@"
    elif docker compose version >/dev/null 2>&1; then
        docker compose --file compose.yaml "$@"
    else
        docker-compose --file compose.yaml "$@"
    fi
}
